"""Shared stores under which something changes: the store, the order of the data, the rows of the model."""

import shutil

import numpy as np
import pytest

from probly.data_generator import AlignmentError, InvalidOutputError, StoreError
from probly.data_generator.run.ranges import Admission, Receipt
from probly.data_generator.store import open_store
from probly.data_generator.toolkit.loaders import SimpleDataLoader
from probly_data_generator_store import finishing, fod
from probly_data_generator_store.manifest import manifest_of
from tests.store import shared, stores

REPLACED = "has been replaced by another store since this run was admitted to it"


class Other(stores.Linear):
    """What another run computes."""

    def __init__(self):
        super().__init__(5.0)


def meddling(action):
    """Return a model that lets something happen while it computes the third shard."""

    class Linear(stores.Linear):
        def __call__(self, inputs):
            if np.array_equal(inputs[0], stores.INPUTS[20]):
                action()
            return super().__call__(inputs)

    return Linear()


def test_receipts_of_a_store_that_is_not_there_complete_nothing(tmp_path):
    path, elsewhere = tmp_path / "a.fod", tmp_path / "elsewhere"
    shared.run(path)
    receipts = [Receipt(0, 8, [0, 8, 100, open_store(path).spec.id])]
    path.rename(elsewhere)
    for make in (lambda: None, lambda: (path / "shards").mkdir(parents=True)):  # another worker is just beginning one
        make()
        with pytest.raises(StoreError, match=r"have published 1 shards in a store there, and this machine sees none"):
            finishing.finish(path, receipts)
    shutil.rmtree(path)
    elsewhere.rename(path)
    finishing.finish(path).verify()


@pytest.mark.parametrize("complete", [True, False])
def test_a_store_that_was_replaced_while_a_worker_computes_is_left_alone(tmp_path, complete):
    path = tmp_path / "a.fod"

    def replace():
        shutil.rmtree(path)
        shared.run(path, model=Other())
        if not complete:
            (path / "manifest.json").unlink()
            stores.shard(path, 4).unlink()

    with pytest.raises(StoreError, match=REPLACED):
        shared.run(path, model=meddling(replace))
    assert stores.agrees(shared.run(tmp_path / "b.fod"))  # what the message says
    shared.run(path, model=Other())
    open_store(path).verify()


def test_receipts_of_a_store_that_was_replaced_complete_nothing(tmp_path, monkeypatch):
    path, original = tmp_path / "a.fod", finishing.finish

    def late(place, receipts):
        monkeypatch.setattr(fod, "finish", original)
        shutil.rmtree(path)
        shared.run(path, model=Other())
        (path / "manifest.json").unlink()
        return original(place, receipts)

    monkeypatch.setattr(fod, "finish", late)
    with pytest.raises(StoreError, match=REPLACED):
        shared.run(path)
    assert not (path / "manifest.json").exists()
    finishing.finish(path).verify()


def test_a_complete_store_that_cannot_be_written_to_is_returned(tmp_path):
    path = tmp_path / "a.fod"
    shared.run(path)
    (path / "lock").unlink()
    (path / "lock").mkdir()  # which cannot be opened to write, as a file of somebody else's
    assert stores.agrees(shared.run(path))
    (path / "manifest.json").unlink()
    with pytest.raises(StoreError, match="lock: cannot be written"):
        shared.run(path)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"{}"), lambda path: path.write_bytes(others())])
def test_a_manifest_that_is_damaged_or_another_store_s_is_made_again_as_it_is_said(tmp_path, damage):
    path = tmp_path / "a.fod"
    shared.run(path)
    manifest = path / "manifest.json"
    before = manifest.read_bytes()
    manifest.chmod(0o644)
    damage(manifest)
    with pytest.raises(StoreError, match=r"manifest.json") as caught:
        shared.run(path)
    assert "remove that file" in caught.value.__notes__[0]
    manifest.unlink()
    assert stores.agrees(shared.run(path))
    assert manifest.read_bytes() == before


def others():
    """Return the manifest of another store."""
    return manifest_of("0" * 32, 0, [])


def test_the_folder_of_shards_may_be_removed_for_all_rows_to_be_made_again(tmp_path):
    path = tmp_path / "a.fod"
    shared.run(path)
    shutil.rmtree(path / "shards")
    assert stores.agrees(shared.run(path, share=(1, 2)))


class Iterable:
    """Samples that can only be read from the first to the last, perhaps in another order each time."""

    def __init__(self, *, changing):
        self.changing, self.times = changing, 0

    def __len__(self):
        return stores.ROWS

    def __iter__(self):
        self.times += 1
        order = np.random.default_rng(self.times).permutation(stores.ROWS) if self.changing else range(stores.ROWS)
        return iter([stores.INPUTS[row] for row in order])


@pytest.mark.filterwarnings("ignore:.*cannot be seen")
@pytest.mark.parametrize("share", [(0, 1), (1, 2)])
def test_samples_in_another_order_each_time_are_noticed_by_whoever_begins(tmp_path, share):
    rows = shared.run(tmp_path / "a.fod", Iterable(changing=False), share=share)
    assert np.asarray(rows).tobytes() == stores.EXPECTED.probabilities.tobytes()
    with pytest.raises(StoreError, match=r"the first rows are others each time .* the dataset has another order or"):
        shared.run(tmp_path / "b.fod", Iterable(changing=True), share=share)
    assert not (tmp_path / "b.fod" / "manifest.json").exists()


class Noisy(stores.Linear):
    """A model that is random."""

    def __call__(self, inputs):
        return super().__call__(inputs) + np.random.default_rng().normal(size=(len(inputs), 3)).astype(np.float32)


def test_a_random_model_is_noticed_by_whoever_begins(tmp_path):
    with pytest.raises(StoreError, match="or the model is random"):
        shared.run(tmp_path / "a.fod", model=Noisy())
    assert len(shared.run(tmp_path / "b.fod", model=Noisy(), probe=False)) == stores.ROWS


def test_a_shuffled_loader_is_refused_before_the_store_is_begun(tmp_path):
    path = tmp_path / "a.fod"
    with pytest.raises(AlignmentError, match="pass the dataset or an unshuffled loader"):
        shared.run(path, SimpleDataLoader(stores.DATA, stores.BATCH, shuffle=True, seed=1))
    assert not path.exists()
    assert stores.agrees(shared.run(path, SimpleDataLoader(stores.DATA, stores.BATCH)))


def test_indices_that_do_not_begin_with_0_are_refused_before_the_store_is_begun(tmp_path):
    data, path = [(row, number) for number, row in enumerate(stores.INPUTS)], tmp_path / "a.fod"

    def indexed(shift):
        return stores.generator(index_getter=lambda sample: sample[1] + shift)

    with pytest.raises(AlignmentError, match="announces 43 rows, and gives none that is the first"):
        shared.run(path, data, generator=indexed(1000))
    assert not path.exists()
    rows = shared.run(path, data, generator=indexed(0))
    assert np.asarray(rows).tobytes() == stores.EXPECTED.probabilities.tobytes()


def test_a_loader_that_drops_its_last_batch_is_told_so(tmp_path):
    loader = SimpleDataLoader(stores.DATA, stores.BATCH)
    loader.batch_sampler = [list(range(start, start + 5)) for start in range(0, 40, 5)]
    with pytest.raises(AlignmentError, match="ended after 0 of them; look for drop_last"):
        shared.run(tmp_path / "a.fod", loader)
    loader.drop_last = True  # where it says so, that is known before anything is computed
    with pytest.raises(ValueError, match=r"leaves out the last 3 of 43 samples, .* drop_last=False"):
        shared.run(tmp_path / "b.fod", loader)
    assert not (tmp_path / "b.fod").exists()
    assert stores.agrees(shared.run(tmp_path / "a.fod", SimpleDataLoader(stores.DATA, stores.BATCH)))


OPTIONS = {
    "encoding": "float32",
    "shard_megabytes": 64,
    "shard_seconds": 30,
    "shard_rows": shared.SHARD_ROWS,
    "keys": None,
}


def worker(path, model=None, tolerance=0.0):
    """Return a worker that is admitted within a block."""
    return stores.generator(model).worker(stores.DATA, str(path), OPTIONS, (), tolerance)


def test_what_is_missing_is_not_asked_of_a_store_that_has_taken_the_place_of_another(tmp_path):
    path = tmp_path / "a.fod"
    with worker(path) as admitted:
        shutil.rmtree(path)
        shared.run(path, model=Other())
        with pytest.raises(StoreError, match=REPLACED):
            admitted.ranges.missing()


def test_a_shard_that_ends_elsewhere_than_its_range_is_not_taken_for_it(tmp_path):
    path = tmp_path / "a.fod"
    with worker(path) as admitted:
        admitted.compute(1)
        shard = stores.shard(path, 0)
        shard.rename(shard.with_name(shard.name.replace("20.", "15.")))
        with pytest.raises(StoreError, match=r"0*10-0*15\.safetensors: is not on the grid of the store; remove it"):
            admitted.ranges.missing()


def test_a_manifest_that_lists_a_shard_that_was_removed_is_removed_before_others_take_its_place(tmp_path, monkeypatch):
    shared.seen_alike(monkeypatch)
    path, near = tmp_path / "a.fod", stores.Linear()
    near.weights = near.weights * np.float32(1 + 1e-6)
    shared.run(path)
    stores.shard(path, 1).unlink()
    found = shared.run(path, model=near, tolerance=1e-3)  # whose bytes, and so the checksum, are others
    found.verify()
    assert len(found) == stores.ROWS


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"rows": stores.ROWS + 1}, InvalidOutputError, "expected 43 rows of .* classes as in the store, got 44"),
        ({"mode": "probs"}, StoreError, "the output mode 'logits', this run .* and 'probs'"),
    ],
)
def test_a_first_batch_that_tells_something_else_is_refused(tmp_path, change, error, said):
    path = tmp_path / "a.fod"
    shared.run(path)
    with worker(path) as admitted:
        spec = admitted.ranges.spec
        first = {
            "rows": stores.ROWS, "batch_size": stores.BATCH, "classes": spec.classes, "mode": spec.decided, "meta": {},
            "shapes": {}, "probe": np.zeros((1, spec.classes), np.float32), **change,
        }  # fmt: skip
        with pytest.raises(error, match=said):
            admitted.ranges.admit(Admission(**first), None)


def test_finish_leaves_a_store_alone_that_is_shared_with_nobody(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path)
    (path / "manifest.json").unlink()
    with pytest.raises(StoreError, match="was begun by a run that shares it with nobody; continue it without workers"):
        finishing.finish(path)
    assert not (path / "manifest.json").exists()
