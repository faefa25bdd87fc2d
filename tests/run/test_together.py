"""Quick batches are cut from arrays several at once: the model must not notice, and every error names its own batch."""

import contextlib

import numpy as np
import pytest

from probly.data_generator import BrokenBackendError, FirstOrderDataGenerator, InvalidOutputError, batches
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.run.device import Dispatcher
from probly.data_generator.run.loop import Run
from probly.data_generator.store import open_partial
from probly.data_generator.toolkit.batches import ArrayBatches

ROWS = np.random.default_rng(0).dirichlet(np.ones(3), 503).astype(np.float32)
LOGITS = np.log(ROWS)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Take every batch for a quick one: from the second on, as many as may come at once do."""
    monkeypatch.setattr(batches, "QUICK", 1e9)


def run(model, dataset=ROWS, progress=False, out=None, **options):
    generator = FirstOrderDataGenerator(model, batch_size=5, backend="numpy", **{"output_mode": "probs", **options})
    return generator.generate_distributions(dataset, progress=progress, out=out)


def at_row(row, answer):
    """Return a model that returns its inputs, except for the batch that begins with a row of ROWS."""
    return lambda inputs: answer(inputs) if (inputs[0] == ROWS[row]).all() else inputs


def test_the_iterator_cuts_as_many_as_it_is_told():
    cut = ArrayBatches((np.arange(13), np.arange(13) * 2), batch_size=2, start=4)
    seen = [next(cut)]
    cut.together = 3
    seen += cut
    assert [batch.indices.tolist() for batch in seen] == [[4, 5], [6, 7, 8, 9, 10, 11], [12]]
    for indices, inputs, labels in seen:
        np.testing.assert_array_equal(inputs, indices)
        np.testing.assert_array_equal(labels, 2 * indices)


def test_slow_batches_come_one_by_one_and_a_step_that_waited_for_nothing_tells_nothing(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(batches, "QUICK", 1.0)
    monkeypatch.setattr(batches.time, "perf_counter", lambda: now[0])
    cut = ArrayBatches(np.arange(13), batch_size=2)
    cut.keep_pace(over=True)  # nothing has begun
    assert next(cut).indices.tolist() == [0, 1]
    found = []
    for seconds, over in ((4.0, True), (0.001, False), (0.1, True), (3.0, True), (30.0, True), (0.0, True)):
        now[0] += seconds
        cut.keep_pace(over=over)
        found.append(cut.together)
    assert found == [1, 1, 10, 3, 1, batches.MOST_TOGETHER]


class Reader:
    """What reads into a buffer of its own, with room for one batch."""

    shape, dtype, memory = ROWS.shape, ROWS.dtype, np.empty((5, 3), np.float32)

    def __getitem__(self, part):
        rows = ROWS[part]
        self.memory[: len(rows)] = rows
        return self.memory[: len(rows)]


def test_what_may_read_into_a_buffer_is_cut_batch_by_batch():
    np.testing.assert_array_equal(run(lambda inputs: inputs.copy(), Reader()).probabilities, ROWS)


def test_what_is_cut_batch_by_batch_is_not_waited_for():
    events = []

    class Watch:
        @hookimpl(wrapper=True)
        def to_device(self, device):
            events.append(device == HOST)
            return (yield)

    run(lambda inputs: inputs.copy(), Reader(), wrappers=[Watch()])
    assert events == [False, *[False, True] * 100, True]


def test_the_model_gets_the_same_batches_as_ever():
    sizes = []

    def model(inputs):
        sizes.append(len(inputs))
        return inputs

    labels = np.arange(503) % 7
    distributions = run(model, (ROWS, labels))
    assert sizes == [5] * 100 + [3]
    np.testing.assert_array_equal(distributions.probabilities, ROWS)
    np.testing.assert_array_equal(distributions.indices, range(503))
    np.testing.assert_array_equal(distributions.labels, labels)


def test_batches_do_come_together(cuts):
    run(lambda inputs: inputs)
    assert cuts == [1, 64, 64, 64]


@pytest.fixture
def cuts(monkeypatch):
    """Return a list that grows by the batches that are cut, each time."""
    found, begin = [], ArrayBatches.__next__
    monkeypatch.setattr(ArrayBatches, "__next__", lambda cut: (found.append(cut.together), begin(cut))[1])
    return found


def test_slow_batches_after_a_quick_one_come_one_by_one_again(monkeypatch, cuts):
    now = [0.0]
    monkeypatch.setattr(batches, "QUICK", 1.5)
    monkeypatch.setattr(batches.time, "perf_counter", lambda: now[0])

    def model(inputs):
        now[0] += 1.0 if now[0] else 0.01
        return inputs

    np.testing.assert_array_equal(run(model).probabilities, ROWS)
    assert cuts == [1, 64, *[1] * 37]


class Asynchronous:
    """A device that takes a second per batch, which only who fetches the rows notices."""

    now = 0.0

    @hookimpl(wrapper=True)
    def to_device(self, device):
        moved = yield
        self.now += device == HOST
        return moved


def test_batches_of_a_slow_asynchronous_device_come_one_by_one(monkeypatch, cuts):
    device = Asynchronous()
    monkeypatch.setattr(batches, "QUICK", 1.5)
    monkeypatch.setattr(batches.time, "perf_counter", lambda: device.now)
    np.testing.assert_array_equal(run(lambda inputs: inputs, wrappers=[device]).probabilities, ROWS)
    assert set(cuts) == {1}


class Queue:
    """A device that works off its queue at a second per batch while who fetches rows waits; fetching again is free."""

    def __init__(self):
        self.now, self.queue, self.longest = 0.0, [], 0

    @hookimpl(wrapper=True)
    def forward(self):
        outputs = yield
        self.queue.append(outputs)
        self.longest = max(self.longest, len(self.queue))
        return outputs

    @hookimpl(wrapper=True)
    def to_device(self, data, device):
        while device == HOST and any(data is outputs for outputs in self.queue):
            self.queue.pop(0)
            self.now += 1
        return (yield)


@pytest.mark.parametrize("output_mode", ["probs", "auto"])
def test_a_slow_device_never_has_more_than_two_batches_in_its_queue(monkeypatch, output_mode):
    device = Queue()
    monkeypatch.setattr(batches, "QUICK", 0.5)
    monkeypatch.setattr(batches.time, "perf_counter", lambda: device.now)
    found = run(lambda inputs: inputs, wrappers=[device], output_mode=output_mode)
    np.testing.assert_array_equal(found.probabilities, ROWS)
    assert device.longest == 2


def test_who_watches_every_batch_sees_every_batch():
    seen = []
    run(lambda inputs: inputs, progress=lambda now: seen.append(now.rows))
    assert seen == [*range(5, 501, 5), 503, 503]


@pytest.mark.parametrize("row", [0, 5, 10, 165, 235, 500])
def test_a_bad_row_is_named(row):
    model = at_row(row, lambda inputs: np.where(np.arange(len(inputs))[:, None] == 2, np.nan, inputs))
    with pytest.raises(InvalidOutputError, match=rf"batch {row // 5}, index {row + 2}: .*not finite"):
        run(model)


@pytest.mark.parametrize("row", [0, 165, 500])
def test_an_error_of_the_model_is_noted_with_its_batch(row):
    def fail(inputs):
        raise KeyError("no such layer")

    with pytest.raises(KeyError) as caught:
        run(at_row(row, fail))
    assert caught.value.__notes__ == [f"raised in backend 'numpy', batch {row // 5}"]


@pytest.mark.parametrize("row", [0, 165, 500])
def test_a_wrong_number_of_rows_is_named_with_its_batch(row):
    with pytest.raises(InvalidOutputError, match=rf"batch {row // 5}: expected \d rows, got \d"):
        run(at_row(row, lambda inputs: inputs[1:]))


def test_rows_that_one_batch_lacks_and_the_next_has_too_many_are_noticed():
    model = at_row(165, lambda inputs: inputs[1:])
    with pytest.raises(InvalidOutputError, match="batch 33: expected 5 rows, got 4"):
        run(lambda inputs: np.concatenate([inputs, inputs[:1]]) if (inputs[0] == ROWS[170]).all() else model(inputs))


@pytest.mark.parametrize("row", [10, 165, 170, 500])
def test_another_number_of_classes_is_named_with_its_index(row):
    model = at_row(row, lambda inputs: np.full((len(inputs), 4), 0.25))
    with pytest.raises(InvalidOutputError, match=rf"index {row}: expected 3 classes as before, got 4"):
        run(model)


@pytest.mark.parametrize("row", [5, 165, 495])
def test_probabilities_among_logits_are_named_with_their_batch(row):
    with pytest.raises(InvalidOutputError, match=rf"batch {row // 5}: its outputs are probabilities"):
        run(lambda inputs: inputs if (inputs[0] == ROWS[row]).all() else 9 * inputs, output_mode="auto")


def test_memory_that_does_not_suffice_for_one_of_them_halves_all_that_follow():
    sizes = []

    def model(inputs):
        sizes.append(len(inputs))
        if len(sizes) > 40 and len(inputs) > 2:
            raise MemoryError
        return inputs

    with pytest.warns(UserWarning, match="batch 40: the device ran out of memory"):
        distributions = run(model, ROWS[:502])
    np.testing.assert_array_equal(distributions.probabilities, ROWS[:502])
    assert set(sizes[42:]) == {1, 2}


class OutOfMemory:
    """A device that finds only when it is asked for the rows that more than two do not fit."""

    @hookimpl(wrapper=True)
    def to_device(self, data, device):
        if device == HOST and len(data) > 2 and data.ndim == 2:
            raise MemoryError
        return (yield)


def test_memory_that_does_not_suffice_for_the_first_one_halves_all_that_follow(cuts):
    sizes = []
    with pytest.warns(UserWarning, match="batch 0: the device ran out of memory"):
        found = run(lambda inputs: sizes.append(len(inputs)) or inputs, ROWS[:502], wrappers=[OutOfMemory()])
    np.testing.assert_array_equal(found.probabilities, ROWS[:502])
    assert cuts[:2] == [1, 64]
    assert sizes[0] == 5
    assert set(sizes[1:]) == {1, 2}


class Reversed(ArrayBatches):
    """Batches that are not just what was cut."""

    def __next__(self):
        batch = super().__next__()
        return batch._replace(inputs=batch.inputs[::-1])


class InReverse:
    """A plugin that reverses the inputs of each batch."""

    @hookimpl(wrapper=True)
    def iterate_batches(self, dataset, batch_size):
        yield
        return Reversed(dataset, batch_size)


def test_what_a_subclass_makes_of_its_batches_is_what_the_model_gets(tmp_path):
    generator = FirstOrderDataGenerator(
        lambda inputs: inputs, batch_size=5, backend="numpy", output_mode="probs", wrappers=[InReverse()]
    )
    expected = ROWS[:100].reshape(20, 5, 3)[:, ::-1].reshape(100, 3)
    found = generator.generate_distributions(ROWS[:100], progress=False)
    np.testing.assert_array_equal(found.probabilities, expected)
    store = generator.generate_distributions(
        ROWS[:100], progress=False, out=tmp_path / "x.fod", shard_megabytes=10 * 3 * 4 / 2**20
    )
    np.testing.assert_array_equal(store.probabilities, expected)
    assert len(shards(tmp_path / "x.fod")) == 10


def test_an_output_transform_gets_each_batch():
    sizes = []

    def transform(outputs):
        sizes.append(len(outputs))
        return outputs

    distributions = run(lambda inputs: inputs, output_transform=transform)
    assert sizes == [5] * 100 + [3]
    np.testing.assert_array_equal(distributions.probabilities, ROWS)


def test_a_store_has_the_same_rows(tmp_path):
    generator = FirstOrderDataGenerator(lambda inputs: inputs, batch_size=5, backend="numpy", output_mode="logits")
    stored = generator.generate_distributions(LOGITS, progress=False, out=tmp_path / "x.fod")
    np.testing.assert_array_equal(
        stored.probabilities, generator.generate_distributions(LOGITS, progress=False).probabilities
    )


def stored(path, model, inputs=ROWS, **options):
    generator = FirstOrderDataGenerator(model, batch_size=5, backend="numpy", output_mode="probs")
    labels = np.arange(503) % 7
    return generator.generate_distributions((inputs, labels), **{"progress": False, "out": path, **options})


def shards(path):
    return sorted(shard.name for shard in (path / "shards").iterdir())


@pytest.mark.parametrize("rows", [1, 5, 7, 10, 64, 160, 170, 503])
@pytest.mark.parametrize("inputs", [ROWS, Reader()], ids=["array", "reader"])
def test_shards_end_where_they_do_batch_by_batch(tmp_path, rows, inputs):
    options = {"model": lambda inputs: inputs.copy(), "inputs": inputs, "shard_megabytes": rows * 3 * 4 / 2**20}
    stored(tmp_path / "a.fod", **options)
    stored(tmp_path / "b.fod", **options, progress=lambda now: None)
    assert shards(tmp_path / "a.fod") == shards(tmp_path / "b.fod")


def test_a_resumed_store_computes_the_batches_that_lack_a_row(tmp_path):
    stored(tmp_path / "x.fod", lambda inputs: inputs, shard_megabytes=10 * 3 * 4 / 2**20)
    for name in shards(tmp_path / "x.fod")[7:]:
        (tmp_path / "x.fod" / "shards" / name).unlink()
    seen = []
    store = stored(tmp_path / "x.fod", lambda inputs: seen.append(len(inputs)) or inputs)
    assert seen == [5] * 86 + [3]
    np.testing.assert_array_equal(store.probabilities, ROWS)
    np.testing.assert_array_equal(store.labels, np.arange(503) % 7)


def test_a_store_with_holes_computes_these_only(tmp_path):
    stored(tmp_path / "x.fod", lambda inputs: inputs, shard_megabytes=10 * 3 * 4 / 2**20)
    for place in (4, 30):
        (tmp_path / "x.fod" / "shards" / shards(tmp_path / "x.fod")[place]).unlink()
    seen = []
    store = stored(tmp_path / "x.fod", lambda inputs: seen.append(inputs.copy()) or inputs)
    np.testing.assert_array_equal(np.concatenate(seen), ROWS[[*range(40, 50), *range(310, 320)]])
    np.testing.assert_array_equal(store.probabilities, ROWS)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken layer")])
@pytest.mark.parametrize("row", [0, 5, 10, 165, 170, 500])
def test_a_store_keeps_every_batch_before_an_error(tmp_path, row, error):
    def fail(inputs):
        raise error

    with pytest.raises(type(error)):
        stored(tmp_path / "x.fod", at_row(row, fail))
    assert row == 0 or list(open_partial(tmp_path / "x.fod")) == list(range(row))
    store = stored(tmp_path / "x.fod", at_row(row, lambda inputs: inputs))
    np.testing.assert_array_equal(store.probabilities, ROWS)
    np.testing.assert_array_equal(store.labels, np.arange(503) % 7)


def test_a_store_keeps_every_batch_before_one_that_does_not_fit_into_memory(tmp_path):
    def fail(inputs):
        raise MemoryError

    model = lambda inputs: fail(inputs) if (inputs == ROWS[167]).all(axis=1).any() else inputs  # noqa: E731
    with pytest.warns(UserWarning, match="ran out of memory"), pytest.raises(MemoryError):
        stored(tmp_path / "x.fod", model)
    assert list(open_partial(tmp_path / "x.fod")) == list(range(165))


def test_a_store_keeps_every_batch_before_a_sample_that_cannot_be_read(tmp_path):
    class Broken(list):
        def __getitem__(self, index):
            if index == 167:
                raise OSError("cannot be read")
            return super().__getitem__(index)

    generator = FirstOrderDataGenerator(lambda inputs: inputs, batch_size=5, backend="numpy", output_mode="probs")
    with pytest.raises(OSError, match="cannot be read"):
        generator.generate_distributions(Broken(ROWS), progress=False, out=tmp_path / "x.fod")
    assert list(open_partial(tmp_path / "x.fod")) == list(range(165))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("cannot be read")])
@pytest.mark.parametrize(("failing", "rows"), [(2, 5), (3, 325)])
def test_a_store_keeps_every_batch_before_one_that_cannot_be_cut(tmp_path, monkeypatch, error, failing, rows):
    calls, begin = [], ArrayBatches.__next__

    def fail(cut):
        calls.append(cut)
        if len(calls) == failing:
            raise error
        return begin(cut)

    monkeypatch.setattr(ArrayBatches, "__next__", fail)
    with pytest.raises(type(error)):
        stored(tmp_path / "x.fod", lambda inputs: inputs)
    assert list(open_partial(tmp_path / "x.fod")) == list(range(rows))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), KeyError("box")])
@pytest.mark.parametrize(("row", "kept"), [(7, 5), (400, 325)])
def test_a_store_keeps_every_batch_before_labels_that_cannot_be_copied(tmp_path, row, kept, error):
    class Labels:
        @hookimpl(wrapper=True)
        def to_device(self, data):
            if isinstance(data, Foreign) and row in data.values:
                raise error
            return (yield)

    class Foreign:
        """Labels of another library."""

        dtype = np.dtype(int)

        def __init__(self, values):
            self.values, self.shape = values, values.shape

        def __array__(self, dtype=None, copy=None):
            return self.values

        def __dlpack__(self):
            raise NotImplementedError

        def __getitem__(self, part):
            return Foreign(self.values[part])

    generator = FirstOrderDataGenerator(
        lambda inputs: inputs, batch_size=5, backend="numpy", output_mode="probs", wrappers=[Labels()]
    )
    with pytest.raises(type(error)):
        generator.generate_distributions((ROWS, Foreign(np.arange(503))), progress=False, out=tmp_path / "x.fod")
    assert list(open_partial(tmp_path / "x.fod")) == list(range(kept))


def test_a_store_keeps_the_first_batch_when_a_second_try_is_interrupted(tmp_path):
    calls = []

    def model(inputs):
        calls.append(len(inputs))
        if len(calls) > 1:
            raise (MemoryError, KeyboardInterrupt)[len(calls) - 2]
        return inputs

    with pytest.warns(UserWarning, match="ran out of memory"), pytest.raises(KeyboardInterrupt):
        stored(tmp_path / "x.fod", model)
    assert calls == [5, 5, 2]
    assert list(open_partial(tmp_path / "x.fod")) == list(range(5))


@pytest.mark.parametrize("row", [5, 165, 500])
def test_no_row_comes_twice_before_an_error(row):
    def fail(inputs):
        raise RuntimeError

    backend = load_backend(find_backend("numpy"))
    cut = ArrayBatches(ROWS, batch_size=5)
    model = backend.hook.load_model(source=at_row(row, fail), device="cpu", options={})
    seen = []
    with pytest.raises(RuntimeError):
        seen += (batch.indices for batch, _ in Run(backend, model, "probs", join=True, arrays=cut).rows(cut))
    assert np.concatenate(seen).tolist() == list(range(row))


def test_no_row_comes_twice_when_the_look_at_the_first_batch_is_interrupted(monkeypatch):
    calls, check = [], Dispatcher._check_classes

    def interrupt_once(dispatcher, hosted, dispatched):
        calls.append(len(hosted))
        if len(calls) == 1:
            raise KeyboardInterrupt
        check(dispatcher, hosted, dispatched)

    monkeypatch.setattr(Dispatcher, "_check_classes", interrupt_once)
    backend = load_backend(find_backend("numpy"))
    cut = ArrayBatches(ROWS, batch_size=5)
    model = backend.hook.load_model(source=lambda inputs: inputs, device="cpu", options={})
    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen += (batch.indices for batch, _ in Run(backend, model, "probs", join=True, arrays=cut).rows(cut))
    assert np.concatenate(seen).tolist() == list(range(5))


@pytest.mark.parametrize("wrong", [lambda inputs: inputs[1:], lambda inputs: 2 * inputs])
@pytest.mark.parametrize("row", [10, 165, 500])
def test_a_store_keeps_every_batch_before_wrong_rows(tmp_path, row, wrong):
    with pytest.raises(InvalidOutputError, match=f"batch {row // 5}"):
        stored(tmp_path / "x.fod", at_row(row, wrong))
    assert list(open_partial(tmp_path / "x.fod")) == list(range(row))
    np.testing.assert_array_equal(open_partial(tmp_path / "x.fod").labels, np.arange(row) % 7)


class AtHost:
    """A device that answers otherwise than with the rows of the batch that begins with row 165."""

    def __init__(self, answer):
        self.answer = answer

    @hookimpl(wrapper=True)
    def to_device(self, device):
        moved = yield
        wrong = device == HOST and moved.ndim == 2 and (moved[0, :3] == ROWS[165]).all()
        return self.answer(moved) if wrong else moved


def refuse(rows):
    raise InvalidOutputError("these rows are refused")


def interrupt(rows):
    raise KeyboardInterrupt


def break_down(rows):
    raise RuntimeError("the device broke down")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refuse, "these rows are refused"),
        (interrupt, None),
        (break_down, "the device broke down"),
        (lambda rows: [[1.0], [0.5, 0.5]], "inhomogeneous"),
        (lambda rows: np.full((5, 4), 0.25, np.float32), "batch 33, index 165: expected 3 classes as before, got 4"),
        (lambda rows: rows[:, 0], r"batch 33: expected the shape \(rows, classes\)"),
    ],
)
def test_a_store_keeps_every_batch_before_one_that_cannot_be_fetched(tmp_path, answer, message):
    with pytest.raises((InvalidOutputError, RuntimeError, ValueError, KeyboardInterrupt), match=message) as caught:
        run(lambda inputs: inputs, out=tmp_path / "x.fod", wrappers=[AtHost(answer)])
    said = [str(caught.value), *getattr(caught.value, "__notes__", [])]
    assert "".join(said).count("batch 33") == "".join(said).count("', batch") == (answer is not interrupt)
    assert list(open_partial(tmp_path / "x.fod")) == list(range(165))


def test_a_store_keeps_every_batch_before_probabilities_among_logits(tmp_path):
    model = at_row(165, lambda inputs: inputs)
    with pytest.raises(InvalidOutputError, match="batch 33: its outputs are probabilities"):
        run(
            lambda inputs: model(inputs) if inputs[0, 0] == ROWS[165, 0] else 9 * inputs,
            out=tmp_path / "x.fod",
            output_mode="auto",
        )
    assert list(open_partial(tmp_path / "x.fod")) == list(range(165))


def test_a_store_keeps_every_batch_before_one_whose_second_look_fails(tmp_path):
    """Where rows may be probabilities among logits, the model is asked again about two of them."""

    def model(inputs):
        if inputs[0, 0] != ROWS[165, 0]:
            return 9 * inputs
        if len(inputs) == 2:
            raise KeyError("no such layer")
        return inputs

    with pytest.raises(KeyError, match="no such layer"):
        run(model, out=tmp_path / "x.fod", output_mode="auto")
    assert list(open_partial(tmp_path / "x.fod")) == list(range(165))


@pytest.mark.parametrize("later", [250, 400], ids=["together", "later"])
def test_a_store_keeps_every_batch_before_wrong_rows_and_a_later_error(tmp_path, later):
    def fail(inputs):
        raise KeyError("no such layer")

    wrong, failing = at_row(165, lambda inputs: inputs[1:]), at_row(later, fail)
    with pytest.raises(KeyError, match="no such layer"):
        stored(tmp_path / "x.fod", lambda inputs: failing(wrong(inputs)))
    assert list(open_partial(tmp_path / "x.fod")) == list(range(165))
    np.testing.assert_array_equal(open_partial(tmp_path / "x.fod").labels, np.arange(165) % 7)


class Contexts:
    """A plugin that gives the loaded model a ``forward_context`` and notes what happens."""

    def __init__(self):
        self.seen = []

    @hookimpl(wrapper=True)
    def load_model(self):
        model = yield
        model.forward_context = self.context
        return model

    @contextlib.contextmanager
    def context(self):
        self.seen.append("[")
        try:
            yield
        finally:
            self.seen.append("]")

    def model(self, inputs):
        self.seen.append(".")
        return inputs

    def __str__(self):
        return "".join(self.seen)


def test_several_batches_in_a_row_share_a_context_of_the_model():
    noted = Contexts()
    np.testing.assert_array_equal(run(noted.model, ROWS[:200], wrappers=[noted]).probabilities, ROWS[:200])
    # A batch to decide by and to measure, and then as many as may come at once.
    assert str(noted) == ".[" + "." * 39 + "]"


def test_the_context_is_left_on_an_error():
    noted = Contexts()
    with pytest.raises(InvalidOutputError):
        run(lambda inputs: noted.model(inputs)[len(noted.seen) > 5 :], ROWS[:200], wrappers=[noted])
    assert str(noted) == ".[" + "." * 39 + "]"

    def fail(inputs):
        raise KeyboardInterrupt

    noted = Contexts()
    with pytest.raises(KeyboardInterrupt):
        run(lambda inputs: at_row(25, fail)(noted.model(inputs)), wrappers=[noted])
    assert str(noted) == ".[.....]"


class AroundForward:
    @hookimpl(wrapper=True)
    def forward(self):
        return (yield)


class AroundToDevice:
    @hookimpl(wrapper=True)
    def to_device(self):
        return (yield)


@pytest.mark.parametrize("option", [{}, {"output_transform": abs}])
@pytest.mark.parametrize("around", [[], [AroundForward()], [AroundToDevice()]])
def test_a_plugin_around_what_is_called_inside_and_raw_outputs_have_no_context(around, option):
    noted = Contexts()
    run(noted.model, ROWS[:200], wrappers=[noted, *around], **option)
    assert str(noted).count(".") == 40
    assert ("[" in str(noted)) == (not around and not option)


def test_a_context_that_is_no_function_is_refused_before_the_first_batch(tmp_path):
    noted = Contexts()
    noted.context = True
    with pytest.raises(BrokenBackendError, match="'numpy': forward_context of the loaded model: expected a function"):
        run(noted.model, ROWS[:10], wrappers=[noted], out=tmp_path / "x.fod")
    assert noted.seen == []
