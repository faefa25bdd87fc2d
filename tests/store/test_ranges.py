"""Several workers fill one store: what each of them does, what they agree on, and who is refused."""

import json
import warnings

import numpy as np
import pytest

from probly.data_generator import AlignmentError, FirstOrderDataGenerator, InvalidOutputError, StoreError
from probly.data_generator.formats.choosing import format_of
from probly.data_generator.store import open_partial, open_store
from probly_data_generator_store import files
from tests.store import shared, stores

CHANGED = "has changed since the store was begun"


@pytest.fixture
def single(tmp_path):
    """Return a store that one worker has filled."""
    shared.run(tmp_path / "single.fod")
    return tmp_path / "single.fod"


def test_shards_end_on_the_grid_and_rows_are_those_of_a_run_in_memory(single):
    assert stores.agrees(open_store(single))
    assert [entry[:2] for entry in shared.entries(single)] == [[0, 10], [10, 20], [20, 30], [30, 40], [40, 43]]
    spec = json.loads((single / "spec.json").read_bytes())
    assert (spec["schema"], spec["shard_rows"], spec["identity"]["batch_size"]) == (2, 10, stores.BATCH)


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_whoever_comes_last_finds_all_there(tmp_path, single, workers):
    path = tmp_path / "a.fod"
    for number in reversed(range(workers)):
        shared.run(path, share=(number, workers))
        shared.check(path, single)


def test_a_worker_computes_its_share_first_and_then_what_is_missing(tmp_path):
    path, numbers = tmp_path / "a.fod", []
    counting = stores.Counting()
    original = files.give_name

    def noting(source, target):
        numbers.append(target.name)
        return original(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "give_name", noting)
        shared.run(path, share=(1, 2), generator=stores.generator(wrappers=[counting]))
    starts = [int(name[:12]) for name in numbers if name.endswith(".safetensors")]
    assert starts == [20, 30, 40, 0, 10]
    assert counting.rows == stores.ROWS + stores.BATCH  # the first batch once more, to be admitted


def test_the_default_grid_of_a_small_run_is_a_64th_of_it_in_whole_batches(tmp_path):
    rows = np.tile(stores.INPUTS, (40, 1))
    store = stores.generator().generate_distributions(rows, progress=False, out=tmp_path / "a.fod", share=(0, 1))
    assert store.spec.shard_rows == 30  # 1720 rows / 64 = 26.9
    small = stores.generator().generate_distributions(
        rows, progress=False, out=tmp_path / "b.fod", share=(0, 1), shard_megabytes=20 * 12 / 2**20
    )
    assert small.spec.shard_rows == 20


def test_a_later_call_needs_no_argument_to_go_on(tmp_path, single):
    path = tmp_path / "a.fod"
    shared.run(path)
    stores.shard(path, 2).unlink()
    (path / "manifest.json").unlink()
    assert stores.agrees(stores.run(path))
    shared.check(path, single)


def test_a_shard_that_was_removed_is_made_again_and_the_manifest_with_it(tmp_path, single):
    path = tmp_path / "a.fod"
    shared.run(path)
    stores.shard(path, 1).unlink()
    with pytest.raises(StoreError, match="a shard is missing"):
        open_store(path)
    shared.run(path, share=(1, 2))
    shared.check(path, single)


def test_finish_completes_what_is_there_and_says_what_is_missing(tmp_path, single):
    path = tmp_path / "a.fod"
    shared.run(path)
    (path / "manifest.json").unlink()
    (path / "shards" / ".000000000010.0a0b0c0d.part").write_bytes(b"of somebody who died")
    finish = format_of(path).finish
    assert stores.agrees(finish(path))
    shared.check(path, single)
    finish(path)
    (path / "manifest.json").unlink()
    stores.shard(path, 3).unlink()
    (path / "shards" / ".000000000030.0a0b0c0d.part").write_bytes(b"of somebody at work")
    with pytest.raises(StoreError, match=r"1 of 5 shards are missing, the first one of the rows 30 to 40; 33 of 43"):
        finish(path)
    assert (path / "shards" / ".000000000030.0a0b0c0d.part").exists()
    with pytest.raises(FileNotFoundError):
        finish(tmp_path / "nothing.fod")


def test_a_worker_that_wakes_after_all_is_done_changes_nothing(tmp_path, single, monkeypatch):
    path, original = tmp_path / "a.fod", files.give_name

    def slept(source, target):
        if target.name.startswith("000000000010"):
            monkeypatch.setattr(files, "give_name", original)
            shared.run(path, share=(1, 2))  # completes the store, and removes the draft of the sleeper
            assert not source.exists()
        return original(source, target)

    monkeypatch.setattr(files, "give_name", slept)
    assert stores.agrees(shared.run(path, share=(0, 2)))
    shared.check(path, single)


# Data that cannot be shared, and arguments that exclude each other.


def of_unknown_length():
    yield from stores.INPUTS


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (of_unknown_length(), ValueError, "can be read only once"),
        (type("Stream", (), {"__iter__": lambda self: iter(stores.INPUTS)})(), ValueError, "does not tell how many"),
    ],
)
def test_data_that_cannot_be_shared(tmp_path, data, error, message):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*cannot be seen")
        with pytest.raises(error, match=message):
            shared.run(tmp_path / "a.fod", data)
    assert not (tmp_path / "a.fod").exists()


class Short:
    """A dataset that announces more rows than it has."""

    def __len__(self):
        return stores.ROWS

    def __iter__(self):
        return iter(stores.INPUTS[:36])


def test_data_that_end_too_early(tmp_path):
    with pytest.warns(UserWarning, match="cannot be seen"), pytest.raises(AlignmentError) as caught:
        shared.run(tmp_path / "a.fod", Short(), share=(0, 1))
    assert "expected the rows 30 to 40 of a dataset of 43, but it ended after 6 of them" in str(caught.value)
    assert len(open_partial(tmp_path / "a.fod")) == 30


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"share": (2, 2)}, ValueError, r"share: expected \(i, n\) with i from 0 to n - 1, got \(2, 2\)"),
        ({"share": (0, 2), "workers": 2}, ValueError, "share: is for processes that you start yourself"),
        ({"share": None, "workers": 0}, ValueError, "workers: expected a whole number of at least 1, got 0"),
        ({"share": None, "devices": "cpu"}, TypeError, "devices: expected a list of names, got 'cpu'"),
        ({"tolerance": float("nan")}, ValueError, "tolerance: expected a number from 0 to 1"),
        ({"tolerance": "1e-6"}, ValueError, "tolerance: expected a number from 0 to 1, got '1e-6'"),
        ({"engine_options": {"a": 1}}, ValueError, "say which engine they are for"),
        ({"share": None, "shard_rows": None, "tolerance": 0.1}, ValueError, "tolerance: is for workers that share"),
        ({"shard_rows": 7}, ValueError, "shard_rows: expected a multiple of the batch size, 5, got 7; pass 5"),
        ({"keys": ["a"]}, AlignmentError, "keys: expected one per sample, got 1 for a dataset of 43"),
        ({"share": None, "engine": "slurm"}, ValueError, "Unknown engine: slurm"),
    ],
)
def test_arguments_that_are_out_of_their_domain(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        shared.run(tmp_path / "a.fod", **arguments)
    assert not (tmp_path / "a.fod").exists()


def test_out_must_be_something_that_can_be_shared(tmp_path):
    generator = stores.generator()
    with pytest.raises(ValueError, match="rows of several workers are kept by a store only; set out"):
        generator.generate_distributions(stores.DATA, progress=False, workers=2)
    with pytest.raises(ValueError, match="workers cannot share it"):
        generator.generate_distributions(stores.DATA, progress=False, workers=2, out=tmp_path / "a.npz")


def test_a_store_that_is_shared_with_nobody_stays_so_and_the_other_way_round(tmp_path):
    stores.run(tmp_path / "a.fod")
    with pytest.raises(StoreError, match="was begun by a run that shares it with nobody; continue it without workers"):
        shared.run(tmp_path / "a.fod")
    assert stores.agrees(stores.run(tmp_path / "a.fod"))


def test_labels_keys_columns_and_counts_are_those_of_a_run_alone(tmp_path):
    keys = [f"{number}.png" for number in range(stores.ROWS)]
    generator = stores.generator(output_mode="logits")
    alone = generator.generate_distributions(
        stores.DATA, progress=False, out=tmp_path / "a.fod", keys=keys, keep=["logits"]
    )
    for encoding in ("float32", "top-2"):
        path = tmp_path / f"{encoding}.fod"
        found = shared.run(path, generator=generator, keys=keys, keep=["logits"], encoding=encoding, share=(1, 3))
        assert found.labels.tolist() == alone.labels.tolist()
        assert found.sample_keys.tolist() == keys
        assert np.array_equal(np.asarray(found.columns["logits"]), np.asarray(alone.columns["logits"]))
        found.verify()


def test_an_empty_dataset(tmp_path):
    store = shared.run(tmp_path / "a.fod", np.empty((0, 3), np.float32))
    assert len(store) == 0
    assert store.complete


def test_one_class_too_many_in_a_later_shard_is_named_and_costs_nothing(tmp_path):
    class Growing(stores.Linear):
        def __call__(self, inputs):
            rows = super().__call__(inputs)
            return np.pad(rows, ((0, 0), (0, 1))) if np.array_equal(inputs[0], stores.INPUTS[25]) else rows

    with pytest.raises(InvalidOutputError, match="expected 3 classes"):
        shared.run(tmp_path / "a.fod", model=Growing())
    assert len(open_partial(tmp_path / "a.fod")) == 20


def test_the_generator_of_a_subclass_is_made_again_in_a_worker():
    made, _ = stores.generator(class_names=["a", "b", "c"]).__reduce__()
    again = made()
    assert isinstance(again, FirstOrderDataGenerator)
    assert again.class_names == ["a", "b", "c"]
    assert again.arguments().keys() == stores.generator().arguments().keys()
