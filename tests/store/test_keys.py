"""Keys of the samples, such as file names, beside their rows."""

import os

import numpy as np
import pytest

from probly.data_generator import AlignmentError, StoreError
from probly.data_generator.store import open_partial, open_store
from tests.store import stores
from tests.store.stores import shard

NAMES = [f"n{number:03}.JPEG" for number in range(stores.ROWS)]


@pytest.mark.parametrize("keys", [NAMES, np.array(NAMES), list(range(100, 100 + stores.ROWS))], ids=type)
def test_keys_stand_beside_the_rows(tmp_path, keys):
    path = tmp_path / "a.fod"
    assert stores.run(path, keys=keys).sample_keys.tolist() == list(keys)
    shard(path, 3).unlink()
    shard(path, 1).unlink()
    partial = open_partial(path) if not (path / "manifest.json").unlink() else None
    assert partial.sample_keys.tolist() == [keys[index] for index in partial]
    store = stores.run(path, keys=keys)
    assert stores.agrees(store)
    assert store.sample_keys.tolist() == list(keys)
    store.verify()
    assert open_store(path).sample_keys.tolist() == list(keys)
    stores.run(path, keys=keys)


def test_a_store_without_keys_says_so(tmp_path):
    assert stores.run(tmp_path / "a.fod").sample_keys is None


def test_other_keys_are_refused(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path, keys=NAMES)
    for finished in (True, False):
        for keys in (None, NAMES[::-1], NAMES[:-1], list(range(stores.ROWS))):
            with pytest.raises(StoreError, match="keys: the store has '43 sha256"):
                stores.run(path, keys=keys)
        if finished:
            (path / "manifest.json").unlink()
            shard(path, 2).unlink()


def samples():
    return zip(*stores.DATA, strict=True)


@pytest.mark.parametrize(
    ("data", "count", "computed"),
    [
        # A length that is announced is compared with the first rows, while the second batch is computed.
        (lambda: stores.DATA, 0, 0), (lambda: stores.DATA, 42, 10), (lambda: stores.DATA, 44, 10),
        # Else a batch beyond the keys is refused before it is computed; that keys are left over, only the end tells.
        (samples, 0, 0), (samples, 42, 40), (samples, 44, 43),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*cannot be seen")  # of the generator
def test_there_is_one_key_per_sample(tmp_path, data, count, computed):
    keys, counting = [str(number) for number in range(count)] or np.zeros(0, int), stores.Counting()
    with pytest.raises(AlignmentError, match=f"keys: expected one per sample, got {count}"):
        stores.run(tmp_path / "a.fod", data(), keys=keys, wrappers=[counting])
    assert counting.rows == computed


@pytest.mark.parametrize("keys", [[1.5] * 43, ["a", *range(42)], [[1]] * 43, [True] * 43, [None] * 43, [b"a"] * 43])
def test_keys_are_text_or_integers(tmp_path, keys):
    with pytest.raises(TypeError, match="keys: expected a list of text or of integers"):
        stores.run(tmp_path / "a.fod", keys=keys)
    with pytest.raises(ValueError, match="kept by a store only"):
        stores.generator().generate_distributions(stores.DATA, keys=keys)
    assert os.listdir(tmp_path) == []
