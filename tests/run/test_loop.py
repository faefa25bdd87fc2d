"""The loop: what a model sees, in which order, and that nothing gets lost or is blamed on the wrong row."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probly.data_generator import AlignmentError, Batch, FirstOrderDataGenerator, InvalidOutputError
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.run import loop
from probly.data_generator.run.device import Device
from probly.data_generator.run.members import Asked, Models
from probly.data_generator.run.progress import tracked
from probly.data_generator.run.scores import ScoreReader
from probly.data_generator.toolkit.batches import iterate_batches

ROWS = np.random.default_rng(0).dirichlet(np.ones(3), 503).astype(np.float32)
LABELS = np.arange(503) % 7


class Shelf:
    """A sink that keeps what it is given, and says which rows it had before."""

    decided, safe_rows = None, 0

    def __init__(self, had=()):
        self.had, self.first_needed = set(had), 0
        self.begun, self.indices, self.rows, self.labels = [], [], [], []

    def needs(self, indices):
        return not self.had.issuperset(indices.tolist())

    def begin(self, classes, meta, mode, length, shapes):
        raise AssertionError("the run has a function of its own for this")

    def write(self, indices, rows, columns):
        self.indices += indices.tolist()
        self.rows += rows.copy().tolist()
        self.labels += columns["labels"].tolist() if columns else []


def run_into(sink, model, dataset=ROWS, *, mode="probs", wrappers=(), batch_size=5):
    backend = load_backend(find_backend("numpy"), wrappers)
    device = Device(backend, backend.hook.load_model(source=model, device=None, options={}))
    models = Models([Asked(device, ScoreReader(mode))], plural=False)
    begin = lambda classes, mode, shapes: sink.begun.append((classes, mode))  # noqa: E731
    with tracked(None, progress=False, safe_rows=lambda: 0) as tracker:
        loop.run_batches(iterate_batches(dataset, batch_size), models, sink, begin, tracker)
    return device


@pytest.mark.parametrize("indices", [[0.0, 1.5], [-1, 0], ["a", "b"], [[0], [1]]])
def test_indices_that_are_none_are_refused(indices):
    batch = Batch(np.array(indices), ROWS[:2], {})
    backend = load_backend(find_backend("numpy"))
    device = Device(backend, backend.hook.load_model(source=lambda inputs: inputs, device=None, options={}))
    models, sink = Models([Asked(device, ScoreReader("probs"))], plural=False), Shelf()
    refused = pytest.raises(AlignmentError, match="backend 'numpy', batch 0: expected")
    with tracked(None, progress=False, safe_rows=lambda: 0) as tracker, refused:
        loop.run_batches([batch], models, sink, lambda *begun: None, tracker)
    assert not sink.rows


def run(model=lambda inputs: inputs, dataset=ROWS, progress=False, **options):
    made = FirstOrderDataGenerator(model, **{"batch_size": 5, "backend": "numpy", "output_mode": "probs", **options})
    return made.generate_distributions(dataset, progress=progress)


def at_row(row, answer):
    """Return a model that returns its inputs, except for the batch that begins with a row of ROWS."""
    return lambda inputs: answer(inputs) if (inputs[0] == ROWS[row]).all() else inputs


def fails(error):
    def fail(inputs):
        raise error

    return fail


# What the model sees


@pytest.mark.parametrize("output_mode", ["auto", "logits", "probs"])
@pytest.mark.parametrize("dataset", [ROWS, list(ROWS), iter(ROWS)], ids=["arrays", "samples", "stream"])
def test_the_model_sees_every_batch_once_and_in_order(output_mode, dataset):
    seen = []

    def model(inputs):
        seen.append(inputs.copy())
        return inputs

    dataset = iter(ROWS) if hasattr(dataset, "__next__") else dataset
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*probabilities already")
        run(model, dataset, output_mode=output_mode)
    assert [len(inputs) for inputs in seen] == [5] * 100 + [3]
    np.testing.assert_array_equal(np.concatenate(seen), ROWS)


def test_a_model_with_a_memory_of_its_own_is_not_run_twice():
    """A second look at the first batch would give other rows."""

    class Counts:
        calls = 0

        def __call__(self, inputs):
            self.calls += 1
            return np.full((len(inputs), 2), [self.calls + 0.5, 1])

    found = run(Counts(), ROWS[:15], output_mode="auto")
    expected = 1 / (1 + np.exp(-np.repeat([0.5, 1.5, 2.5], 5)))
    np.testing.assert_allclose(found.probabilities[:, 0], expected, rtol=0, atol=1e-6)


def test_an_output_transform_sees_every_batch_once():
    sizes = []

    def transform(outputs):
        sizes.append(len(outputs))
        return outputs

    np.testing.assert_array_equal(run(output_transform=transform).probabilities, ROWS)
    assert sizes == [5] * 100 + [3]


def test_a_batch_is_collected_after_the_next_is_dispatched():
    events = []

    class Watch:
        @hookimpl(wrapper=True)
        def forward(self):
            events.append("dispatch")
            return (yield)

        @hookimpl(wrapper=True)
        def to_device(self, device):
            if device == HOST:
                events.append("collect")
            return (yield)

    run(dataset=ROWS[:13], wrappers=[Watch()])
    assert events == ["dispatch", "dispatch", "collect", "dispatch", "collect", "collect"]


def test_a_model_may_use_the_memory_of_its_answers_again():
    memory = np.empty((5, 3), np.float32)

    def model(inputs):
        memory[: len(inputs)] = inputs
        return memory[: len(inputs)]

    np.testing.assert_array_equal(run(model).probabilities, ROWS)
    memory_of_transform = run(output_transform=model)
    np.testing.assert_array_equal(memory_of_transform.probabilities, ROWS)


def test_forward_gets_the_size_to_pad_to_and_none_where_all_outputs_are_read():
    sizes = []

    class Watch:
        @hookimpl(wrapper=True)
        def forward(self, batch_size):
            sizes.append(batch_size)
            return (yield)

    run(dataset=ROWS[:13], wrappers=[Watch()])
    run(dataset=ROWS[:13], wrappers=[Watch()], output_transform=lambda rows: rows)
    assert sizes == [5, 5, 5, None, None, None]


# What the sink gets


@pytest.mark.parametrize("numbers", [1, 75, 2**14])
@pytest.mark.parametrize("wait", [0.0, 1e9])
def test_blocks_of_any_size_lose_nothing(monkeypatch, numbers, wait):
    monkeypatch.setattr(loop, "MOST_NUMBERS", numbers)
    monkeypatch.setattr(loop, "LONGEST_WAIT", wait)
    sink = Shelf()
    run_into(sink, lambda inputs: inputs, (ROWS, LABELS))
    assert sink.begun == [(3, "probs")]
    assert sink.indices == list(range(503))
    assert sink.labels == LABELS.tolist()
    np.testing.assert_array_equal(np.float32(sink.rows), ROWS)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 400), st.sampled_from(["f4", "f8"]))
def test_batches_of_any_sizes_end_in_their_order(sizes, numbers, dtype):
    starts = np.cumsum([0, *sizes])
    rows = np.random.default_rng(int(starts[-1])).normal(size=(starts[-1], 3)).astype(dtype)
    batches = [rows[start:stop] for start, stop in itertools.pairwise(starts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "MOST_NUMBERS", numbers)
        found = run(dataset=batches, batched=True, output_mode="logits")
    expected = np.exp(rows.astype(float)) / np.exp(rows.astype(float)).sum(axis=1, keepdims=True)
    assert len(found) == len(rows)
    np.testing.assert_allclose(found.probabilities.reshape(-1, 3), expected, rtol=0, atol=1e-6)


def test_what_a_sink_has_is_not_computed_again():
    sink, seen = Shelf(had=range(7, 498)), []
    device = run_into(sink, lambda inputs: seen.append(len(inputs)) or inputs)
    assert seen == [5, 5, 5, 3]
    assert sink.indices == [*range(10), *range(495, 503)]
    assert device.largest == 5


def test_the_largest_batch_counts_also_where_it_is_skipped():
    """Compiled backends pad to it, and a row of another size may differ in its last bit."""
    sizes = []

    class Watch:
        @hookimpl(wrapper=True)
        def forward(self, batch_size):
            sizes.append(batch_size)
            return (yield)

    run_into(Shelf(had=range(500)), lambda inputs: inputs, wrappers=[Watch()])
    assert sizes == [5]


def test_a_large_batch_is_a_block_of_its_own():
    rows = np.random.default_rng(0).dirichlet(np.ones(10), 5000).astype(np.float32)
    np.testing.assert_array_equal(run(dataset=rows, batch_size=2500).probabilities, rows)


def test_labels_of_another_kind_in_the_middle():
    samples = [(row, "a" if number < 40 else "longer") for number, row in enumerate(ROWS[:90])]
    np.testing.assert_array_equal(run(dataset=samples).labels, ["a"] * 40 + ["longer"] * 50)
    mixed = [(row, number if number < 40 else np.zeros(2)) for number, row in enumerate(ROWS[:90])]
    assert run(dataset=mixed).labels is None


@pytest.mark.parametrize("labels", [[], (), np.array([], object), np.array({"box": 1}, object)])
def test_labels_without_rows_are_none(labels):
    found = run(dataset=[(ROWS[:5], labels)], batched=True)
    np.testing.assert_array_equal(found.probabilities, ROWS[:5])
    assert found.labels is None


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float64])
def test_large_logits_keep_their_differences(dtype):
    logits = np.array([[2**24, 2**24 + 1]] * 3, dtype)
    expected = [[1 / (1 + np.e), np.e / (1 + np.e)]] * 3
    np.testing.assert_allclose(run(dataset=logits, output_mode="logits").probabilities, expected, rtol=1e-6)


def test_who_watches_sees_every_batch():
    seen = []
    run(progress=lambda now: seen.append(now.rows))
    assert seen == [*range(5, 501, 5), 503, 503]


# Errors name their batch and their row


@pytest.mark.parametrize("row", [0, 5, 10, 165, 235, 500])
def test_a_bad_row_is_named(row):
    model = at_row(row, lambda inputs: np.where(np.arange(len(inputs))[:, None] == 2, np.nan, inputs))
    with pytest.raises(InvalidOutputError, match=rf"batch {row // 5}, index {row + 2}: .*not finite"):
        run(model)


@pytest.mark.parametrize("row", [0, 165, 500])
def test_an_error_of_the_model_is_noted_with_its_batch(row):
    with pytest.raises(KeyError) as caught:
        run(at_row(row, fails(KeyError("no such layer"))))
    assert caught.value.__notes__ == [f"raised in backend 'numpy', batch {row // 5}, whose first sample is {row}"]


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
    with pytest.raises(InvalidOutputError, match=rf"batch {row // 5}, index {row}: expected 3 classes .*, got 4"):
        run(model)


@pytest.mark.parametrize("output_mode", ["auto", "logits", "probs"])
def test_rows_without_classes_are_refused(output_mode):
    for rows in (5, 40_000):
        with pytest.raises(InvalidOutputError, match="batch 0: expected a column per class"):
            run(lambda batch: batch[:, :0], np.zeros((rows, 3)), batch_size=rows, output_mode=output_mode)


# What came before an error is handed on


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken layer"), SystemExit(143)])
@pytest.mark.parametrize("row", [0, 5, 10, 165, 170, 500])
def test_every_batch_before_an_error_is_handed_on(row, error):
    sink = Shelf()
    with pytest.raises(type(error)):
        run_into(sink, at_row(row, fails(error)), (ROWS, LABELS))
    assert sink.indices == list(range(row))
    np.testing.assert_array_equal(np.float32(sink.rows).reshape(-1, 3), ROWS[:row])
    assert sink.labels == LABELS[:row].tolist()


@pytest.mark.parametrize("wrong", [lambda inputs: inputs[1:], lambda inputs: 2 * inputs, lambda inputs: inputs[:, :2]])
@pytest.mark.parametrize("row", [10, 165, 500])
def test_every_batch_before_wrong_rows_is_handed_on(row, wrong):
    sink = Shelf()
    with pytest.raises(InvalidOutputError, match=f"batch {row // 5}"):
        run_into(sink, at_row(row, wrong))
    assert sink.indices == list(range(row))


def test_every_batch_before_a_sample_that_cannot_be_read_is_handed_on():
    class Broken(list):
        def __getitem__(self, index):
            if index == 167:
                raise OSError("cannot be read")
            return super().__getitem__(index)

    sink = Shelf()
    with pytest.raises(OSError, match="cannot be read"):
        run_into(sink, lambda inputs: inputs, Broken(ROWS))
    assert sink.indices == list(range(165))


class AtHost:
    """A device that answers otherwise than with the rows of the batch that begins with row 165."""

    def __init__(self, answer):
        self.answer = answer

    @hookimpl(wrapper=True)
    def to_device(self, device):
        moved = yield
        wrong = device == HOST and moved.ndim == 2 and (moved[0, :3] == ROWS[165]).all()
        return self.answer(moved) if wrong else moved


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (fails(InvalidOutputError("these rows are refused")), "these rows are refused"),
        (fails(KeyboardInterrupt()), None),
        (fails(RuntimeError("the device broke down")), "the device broke down"),
        (lambda rows: [[1.0], [0.5, 0.5]], "inhomogeneous"),
        (lambda rows: np.full((5, 4), 0.25, np.float32), "batch 33, index 165: expected 3 classes as before, got 4"),
        (lambda rows: rows[None], r"batch 33: expected 5 rows, got 1"),
    ],
)
def test_every_batch_before_one_that_cannot_be_fetched_is_handed_on(answer, message):
    sink = Shelf()
    with pytest.raises((InvalidOutputError, RuntimeError, ValueError, KeyboardInterrupt), match=message) as caught:
        run_into(sink, lambda inputs: inputs, wrappers=[AtHost(answer)])
    said = "".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert said.count("batch 33") == said.count("', batch") == (message is not None)
    assert sink.indices == list(range(165))


def test_a_second_error_does_not_hide_the_first():
    def model(inputs):
        if (inputs[0] == ROWS[165]).all():
            return inputs[1:]
        if (inputs[0] == ROWS[170]).all():
            raise KeyError("no such layer")
        return inputs

    sink = Shelf()
    with pytest.raises(KeyError, match="no such layer") as caught:
        run_into(sink, model)
    assert "could not be handed on: InvalidOutputError" in caught.value.__notes__[-1]
    assert sink.indices == list(range(165))


def test_a_sink_that_fails_ends_the_run_with_its_own_error():
    class Full(Shelf):
        def write(self, indices, rows, columns):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run_into(Full(), lambda inputs: inputs)
