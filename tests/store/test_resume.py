"""Continuing a store: what is computed again, what may differ, and in which order rows may come."""

import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import AlignmentError, InvalidOutputError, SimpleDataLoader, StoreError, hookimpl
from probly.data_generator.store import load, open_partial
from tests.store import stores
from tests.store.stores import Counting, Images, probed, shard


def test_a_complete_store_computes_the_first_batch_only(tmp_path):
    path, counting = tmp_path / "a.fod", Counting()
    first = stores.run(path)
    again = stores.run(path, wrappers=[counting])
    assert counting.rows == stores.BATCH
    assert again == first
    assert again.meta == first.meta
    assert load(path)[0] == first


@pytest.mark.parametrize("removed", [c for n in (1, 2, 5) for c in itertools.combinations(range(5), n)])
def test_gaps_are_filled_and_nothing_else_is_computed(tmp_path, removed):
    path, counting = tmp_path / "a.fod", Counting()
    stores.run(path)
    before = {name: (path / "shards" / name).read_bytes() for name in os.listdir(path / "shards")}
    rows = 0
    for number in sorted(removed, reverse=True):
        start, stop = shard(path, number).stem.split("-")
        rows += int(stop) - int(start)
        shard(path, number).unlink()
    assert stores.agrees(stores.run(path, wrappers=[counting]))
    assert counting.rows == rows + (stores.BATCH if rows < stores.ROWS else 0)  # the probe
    after = {name: (path / "shards" / name).read_bytes() for name in os.listdir(path / "shards")}
    assert after == before or len(removed) > 1  # neighbouring gaps may be cut into other shards


def test_what_auto_was_settled_to_is_not_asked_again(tmp_path):
    class Model:
        answers = stores.EXPECTED.probabilities  # of the class: what no digest sees

        def __call__(self, inputs):
            start = int(np.flatnonzero((inputs[0] == stores.INPUTS).all(axis=1))[0])
            return Model.answers[start : start + len(inputs)]

    path = tmp_path / "a.fod"
    assert stores.agrees(stores.run(path, model=Model()))
    shard(path, 2).unlink()
    Model.answers = stores.INPUTS  # logits, which "auto" would take for what they are
    with pytest.raises(InvalidOutputError, match=r"index 20: .* the first batch held probabilities"):
        stores.run(path, model=Model(), probe=False)


def test_a_short_batch_is_padded_as_in_the_first_run(tmp_path):
    path, sizes = tmp_path / "a.fod", []

    class Padding:
        @hookimpl(wrapper=True)
        def forward(self, inputs, batch_size):
            sizes.append((len(inputs), batch_size))
            return (yield)

    stores.run(path)
    shard(path, 4).unlink()
    assert stores.agrees(stores.run(path, wrappers=[Padding()]))
    assert sizes == [(5, 5), (3, 5)]  # the first one is the probe's
    shard(path, 4).unlink()
    assert stores.agrees(stores.run(path, loader_of_lists(), wrappers=[Padding()]))  # which begins anew, with fours
    assert sizes == [(5, 5), (3, 5), (4, 4), (3, 4)]


def test_a_store_of_which_only_the_manifest_is_missing(tmp_path):
    for rows, data in ((40, (stores.INPUTS[:40], stores.LABELS[:40])), (stores.ROWS, stores.DATA)):
        path, counting = tmp_path / f"{rows}.fod", Counting()
        first = stores.run(path, data)
        (path / "manifest.json").unlink()
        again = stores.run(path, data, wrappers=[counting])
        assert again == first
        assert again.complete
        assert counting.rows == (stores.BATCH if rows == 40 else 3)  # the probe, of a batch that is read anyway


@pytest.mark.parametrize(
    ("begun", "data"),
    [("begun_arrays", stores.DATA), ("begun_samples", list(zip(stores.INPUTS, stores.LABELS.tolist(), strict=True)))],
)
def test_a_store_that_version_0_1_began_is_finished(tmp_path, begun, data):
    path, counting = tmp_path / "a.fod", Counting()
    shutil.copytree(Path(__file__).parent / "golden" / f"{begun}.fod", path)
    assert list(open_partial(path)) == [*range(20), *range(30, stores.ROWS)]
    store = stores.run(path, data, wrappers=[counting])
    # Another processor may compute other last bits than the one that began it.
    np.testing.assert_allclose(np.asarray(store), stores.EXPECTED.probabilities, rtol=0, atol=1e-6)
    assert store.labels.tolist() == stores.LABELS.tolist()
    assert counting.rows == 10 + stores.BATCH
    assert store.meta["versions"]["probly-data-generator"] == "0.1.0"
    # It saw a part of what a model computes with, so its digest cannot be compared; the rows can.
    with pytest.raises(StoreError, match="the model or its preprocessing has changed"):
        stores.run(path, data, model=stores.Linear(2.5))


def test_another_batch_size_computes_whole_batches_and_keeps_what_is_missing(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path)
    shard(path, 1).unlink()
    counting = Counting()
    assert stores.agrees(stores.run(path, batch_size=7, wrappers=[counting]))
    assert counting.rows == 7 + 14  # the probe, and rows 7 to 20 for the rows 10 to 19
    for size in (1, 9, 10, 11, stores.ROWS, 1000):
        shard(path, 2).unlink()
        assert stores.agrees(stores.run(path, batch_size=size))


def test_what_is_published_is_not_read_again(tmp_path):
    path, dataset = tmp_path / "a.fod", Images()
    stores.run(path, dataset)
    shard(path, 4).unlink()
    shard(path, 3).unlink()
    again = Images()
    assert stores.agrees(stores.run(path, again))
    # One batch for the probe: nothing of the first one that is needed is stored.
    assert again.read == [*probed(), *range(30, 35), *range(5), *range(35, stores.ROWS)]


def counted(rule):
    """Return an index_getter that applies a rule to 0, 1, 2, ..."""
    numbers = itertools.count()
    return lambda sample: rule(next(numbers))


def loader_of_lists():
    return SimpleDataLoader(stores.DATA, 4)


@pytest.mark.filterwarnings("ignore:.*(cannot be seen|could be computed again)")  # of the generator
@pytest.mark.parametrize(
    "dataset",
    [lambda: stores.DATA, lambda: list(zip(*stores.DATA, strict=True)), Images, loader_of_lists,
     lambda: (sample for sample in zip(*stores.DATA, strict=True))],
)  # fmt: skip
def test_every_kind_of_dataset_in_order(tmp_path, dataset):
    path = tmp_path / "a.fod"
    assert stores.agrees(stores.run(path, dataset()))
    for number in (3, 0):
        shard(path, number).unlink()
        assert stores.agrees(stores.run(path, dataset()))


@pytest.mark.parametrize(
    ("dataset", "options"),
    [
        (SimpleDataLoader(stores.DATA, 4, shuffle=True, seed=0), {}),
        (stores.INPUTS, {"index_getter": lambda sample: 7}),
        (stores.INPUTS, {"index_getter": counted(lambda number: number // 2)}),
        (stores.INPUTS, {"index_getter": counted(lambda number: 100 - number)}),
        (stores.INPUTS, {"index_getter": counted(lambda number: 2 * number)}),
        (stores.INPUTS, {"index_getter": counted(lambda number: number + stores.BATCH)}),
    ],
)
def test_any_other_order_is_refused_before_anything_is_computed(tmp_path, dataset, options):
    counting = Counting()
    with pytest.raises(AlignmentError, match="written in dataset order; pass the dataset or an unshuffled loader"):
        stores.run(tmp_path / "a.fod", dataset, wrappers=[counting], **options)
    assert counting.rows == 0
    assert os.listdir(tmp_path) == []


def test_batch_size_loader_and_metadata_may_change(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path)
    shard(path, 2).unlink()
    assert stores.agrees(stores.run(path, loader_of_lists(), batch_size=3, shard_megabytes=1, shard_seconds=1))


def test_another_number_of_classes_is_refused(tmp_path):
    class Model:
        classes = 3  # of the class: what no digest sees

        def __call__(self, inputs):
            return inputs[:, :1] + np.linspace(0, 1, Model.classes, dtype=np.float32)

    path = tmp_path / "a.fod"
    stores.run(path, model=Model())
    shard(path, 2).unlink()
    Model.classes = 4
    for probe in (True, False):
        with pytest.raises(InvalidOutputError, match="expected 3 classes as in the store, got 4"):
            stores.run(path, model=Model(), probe=probe)


def test_a_wrong_length_is_reported_as_in_memory(tmp_path):
    class Iterable:
        def __len__(self):
            return 60

        def __iter__(self):
            return zip(*stores.DATA, strict=True)

    with (
        pytest.warns(UserWarning, match="generated 43 distributions, but dataset length is 60"),
        pytest.warns(UserWarning, match="the samples of the dataset cannot be seen"),
    ):
        store = stores.run(tmp_path / "a.fod", Iterable())
    assert stores.agrees(store)


@pytest.mark.filterwarnings("ignore:.*cannot be seen")
def test_a_dataset_that_became_shorter_is_refused(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path, iter(list(zip(*stores.DATA, strict=True))))
    (path / "manifest.json").unlink()
    with pytest.raises(AlignmentError, match="holds rows up to 43, but the dataset ended at 20"):
        stores.run(path, iter(list(zip(*stores.DATA, strict=True))[:20]))


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 9, 10, 11])
def test_few_rows(tmp_path, count):
    path, data = tmp_path / "a.fod", (stores.INPUTS[:count], stores.LABELS[:count])
    for _ in range(2):
        store = stores.run(path, data)
        assert len(store) == count
        np.testing.assert_array_equal(np.asarray(store).reshape(-1), stores.EXPECTED.probabilities[:count].reshape(-1))


def test_batches_without_labels_are_rows_without_one(tmp_path):
    samples = [(row, 0) if number < 20 else (row, None) for number, row in enumerate(stores.INPUTS)]
    found = stores.run(tmp_path / "a.fod", samples).labels
    np.testing.assert_array_equal(found, np.where(np.arange(len(found)) < 20, 0, -1))
