"""The probe: a batch is computed again before a store is continued; what it notices, and what it leaves alone."""

import itertools
import re

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError, SimpleDataLoader, StoreError
from probly.data_generator.run.probe import TOLERANCE, read_once
from probly.data_generator.run.sinks import MemorySink
from probly.data_generator.store import open_partial, open_store
from tests.store import stores
from tests.store.stores import Counting, Images, shard


class Hidden:
    """A model whose weights are where no digest looks: in its class."""

    scale, added, seen = 2.0, 0.0, 0

    def __init__(self):
        self.layers = []

    def __call__(self, inputs):
        Hidden.seen += 1
        return (inputs * np.float32(Hidden.scale) + Hidden.added * (np.arange(3) == 1)).astype(np.float32)


@pytest.fixture(autouse=True)
def _as_at_first(monkeypatch):
    for name in ("scale", "added", "seen"):
        monkeypatch.setattr(Hidden, name, getattr(Hidden, name))


def unfinished(path, *numbers, **options):
    """Begin a store and lose some of its shards."""
    stores.run(path, **options)
    for number in sorted(numbers, reverse=True):
        shard(path, number).unlink()


@pytest.mark.parametrize("lost", [(), (3,), (2,), (0,), (0, 1), (1, 3)], ids=str)
@pytest.mark.parametrize("data", [lambda: stores.DATA, Images, lambda: SimpleDataLoader(stores.DATA, 4)])
def test_another_model_is_refused_whatever_the_store_has(tmp_path, lost, data):
    path = tmp_path / "a.fod"
    unfinished(path, *lost, model=Hidden(), data=data())
    before = {file: file.read_bytes() for file in path.rglob("*.safetensors")}
    Hidden.scale = 2.5
    first = int(shard(path, 0).stem.partition("-")[0])
    with pytest.raises(StoreError, match=rf"a\.fod: the model or its preprocessing has changed .*: row {first} has "):
        stores.run(path, data(), model=Hidden())
    assert {file: file.read_bytes() for file in path.rglob("*.safetensors")} == before
    Hidden.scale = 2.0
    assert stores.agrees(stores.run(path, data(), model=Hidden()))


def test_the_message_names_the_row_the_number_and_the_way_out(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path, model=Hidden())
    stored = open_store(path)[0]
    Hidden.added = 1.0
    with pytest.raises(StoreError) as caught:
        stores.run(path, model=Hidden())
    logits = stores.INPUTS[0] * 2 + np.array([0, 1, 0])
    now = np.exp(logits) / np.exp(logits).sum()
    worst = int(np.abs(now - stored).argmax())
    numbers = re.search(rf"row 0 has (\S+) for class {worst}, and computed again it is (\S+);", str(caught.value))
    np.testing.assert_allclose([float(number) for number in numbers.groups()], [stored[worst], now[worst]], rtol=1e-6)
    assert "5 of 5 rows that were computed again differ" in str(caught.value)
    # What it advises works.
    assert stores.agrees(stores.run(path, model=Hidden(), probe=False))


def test_preprocessing_is_noticed(tmp_path):
    class Scaled:
        """A dataset that reads its settings where no digest looks; the samples that are compared are the same."""

        by = 1.0

        def __len__(self):
            return 1000

        def __getitem__(self, index):
            probed = index in {int(place) for place in np.linspace(0, 999, 32)}
            return stores.INPUTS[index % stores.ROWS] * (1.0 if probed else Scaled.by), 0

    path = tmp_path / "a.fod"
    stores.run(path, Scaled(), model=Hidden())
    Scaled.by = 1.01
    with pytest.raises(StoreError, match=r"preprocessing has changed .*: row 1 has"):
        stores.run(path, Scaled(), model=Hidden())


@pytest.mark.parametrize("encoding", ["float32", "float16", "top-1", "top-2", "top-3"])
@pytest.mark.parametrize("size", [5, 1, 7, 43])
def test_rounding_is_no_difference(tmp_path, encoding, size):
    path = tmp_path / "a.fod"
    unfinished(path, -1, model=Hidden(), encoding=encoding)
    Hidden.scale = 2.0 * (1 + 1e-7)
    assert len(stores.run(path, model=Hidden(), encoding=encoding, batch_size=size)) == stores.ROWS
    assert len(stores.run(path, model=Hidden(), encoding=encoding, batch_size=size)) == stores.ROWS
    Hidden.scale = 2.2
    with pytest.raises(StoreError, match="the model or its preprocessing has changed"):
        stores.run(path, model=Hidden(), encoding=encoding, batch_size=size)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("sharpness", [0.0, 0.1, 3.0, 20.0])
def test_every_row_is_within_its_own_rounding(tmp_path, classes, sharpness):
    logits = np.random.default_rng(0).normal(size=(40, classes)) * sharpness
    for encoding in ("float32", "float16", "top-1", f"top-{min(5, classes)}", f"top-{classes}"):
        made = FirstOrderDataGenerator(lambda rows: rows, output_mode="logits", batch_size=40, backend="numpy")
        for _ in range(2):
            made.generate_distributions(logits, out=tmp_path / f"{encoding}.fod", encoding=encoding, progress=False)


def test_half_precision_has_a_tolerance_of_its_own(tmp_path):
    class Half(Hidden):
        def __call__(self, inputs):
            return super().__call__(inputs).astype(np.float16)

    path = tmp_path / "a.fod"
    stores.run(path, model=Half())
    Hidden.scale = 2.002
    stores.run(path, model=Half())
    Hidden.scale = 2.5
    with pytest.raises(StoreError, match="has changed"):
        stores.run(path, model=Half())


def test_one_batch_is_computed_and_none_without(tmp_path):
    path, counting = tmp_path / "a.fod", Counting()
    stores.run(path, wrappers=[counting])
    assert counting.rows == stores.ROWS, "a store that has no rows is not probed"
    for probe, rows in ((True, 5), (False, 0)):
        counting.rows = 0
        assert stores.agrees(stores.run(path, wrappers=[counting], probe=probe))
        assert counting.rows == rows
    shard(path, 3).unlink()
    counting.rows = 0
    assert stores.agrees(stores.run(path, wrappers=[counting], probe=False))
    assert counting.rows == 10


def once(stop=stores.ROWS):
    return itertools.islice(zip(*stores.DATA, strict=True), stop)


@pytest.mark.filterwarnings("ignore:.*cannot be seen")
def test_what_can_be_read_once_is_read_once(tmp_path):
    path, counting = tmp_path / "a.fod", Counting()
    stores.run(path, once(), model=Hidden())
    for lost, computed in ((3, 5 + 10), (4, 5 + 3)):
        shard(path, lost).unlink()
        counting.rows = 0
        assert stores.agrees(stores.run(path, once(), model=Hidden(), wrappers=[counting]))
        assert counting.rows == computed
    # Of a complete store the first batch is read, no more; of an iterator that has ended nothing can be.
    left = once()
    assert stores.agrees(stores.run(path, left, model=Hidden()))
    assert len(list(left)) == stores.ROWS - stores.BATCH
    with pytest.warns(UserWarning, match="none of its rows could be computed again"):
        assert stores.agrees(stores.run(path, left, model=Hidden()))
    Hidden.scale = 3.0
    for number in (None, 4):
        if number is not None:
            shard(path, number).unlink()
        with pytest.raises(StoreError, match="has changed"):
            stores.run(path, once(), model=Hidden())
    shard(path, 0).unlink()
    Hidden.scale = 2.0
    with pytest.warns(UserWarning, match="none of its rows could be computed again"):
        assert stores.agrees(stores.run(path, once(), model=Hidden()))


def test_an_iterator_is_told_from_what_can_be_read_again():
    assert read_once(once())
    assert read_once(iter([]))
    assert not any(map(read_once, ([1], stores.INPUTS, stores.DATA, Images(), SimpleDataLoader(stores.DATA, 4))))


def test_other_classes_are_named(tmp_path):
    class Wide(Hidden):
        def __call__(self, inputs):
            return np.repeat(super().__call__(inputs), 1 + (Hidden.scale == 3), axis=1)

    path = tmp_path / "a.fod"
    stores.run(path, model=Wide())
    Hidden.scale = 3
    with pytest.raises(InvalidOutputError, match="expected 3 classes as in the store, got 6; pass the model"):
        stores.run(path, model=Wide())


@pytest.mark.parametrize("settings", [{"output_mode": "logits"}, {"output_transform": lambda rows: np.abs(rows) / 9}])
def test_scores_are_read_as_in_the_run(tmp_path, settings):
    rows = np.array([[3.0, 3.0, 3.0], [1.0, 8.0, 0.0]])
    for _ in range(2):
        store = stores.run(tmp_path / "a.fod", rows, model=Hidden() if not settings.get("output_transform") else
                           (lambda inputs: inputs), **settings)  # fmt: skip
    assert len(store) == 2


def test_a_model_that_its_runs_change_is_the_same_model(tmp_path):
    class Counts(stores.Linear):
        """Counts its calls, and keeps what it computed last, as many models do."""

        def __init__(self):
            super().__init__()
            self.calls, self.last = 0, None

        def __call__(self, inputs):
            self.calls += 1
            self.last = super().__call__(inputs)
            return self.last

    model, path = Counts(), tmp_path / "a.fod"
    for _ in range(3):
        assert stores.agrees(stores.run(path, model=model))
    shard(path, 2).unlink()
    assert stores.agrees(stores.run(path, model=Counts())), "in another process it is as at first"
    model.weights = model.weights * 2
    with pytest.raises(StoreError, match="model digest"):
        stores.run(path, model=model)


def test_a_sink_gives_what_earlier_runs_wrote(tmp_path):
    path = tmp_path / "a.fod"
    unfinished(path, 1)
    (path / "manifest.json").unlink(missing_ok=True)
    partial = open_partial(path)
    found = partial.stored(np.array([25, 9, 10, 99, 42]))
    assert found.positions.tolist() == [0, 1, 4]
    np.testing.assert_array_equal(found.rows, stores.EXPECTED.probabilities[[25, 9, 42]])
    assert (np.maximum(found.tolerance, TOLERANCE) == np.float32(TOLERANCE)).all()
    assert partial.stored(np.array([10, 19])) is None
    assert (partial.first_stored, MemorySink().first_stored, MemorySink().stored(np.arange(3))) == (0, None, None)
