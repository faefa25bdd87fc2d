"""A finished store takes the place of an older one: at no moment is neither there, and nothing else is deleted."""

import os

import numpy as np
import pytest

from probly.data_generator import StoreError
from probly.data_generator.store import open_store, replacing
from probly_data_generator_store import files
from probly_data_generator_store.lock import Lock
from tests.store import stores
from tests.store.stores import shard


@pytest.fixture
def pair(tmp_path):
    """Give an old store, and a new one beside it with other rows."""
    path = tmp_path / "a.fod"
    stores.run(path)
    stores.run(replacing.beside(path), model=stores.Linear(0.5))
    return path, replacing.beside(path)


def is_new(path):
    return not stores.agrees(open_store(path))


def test_the_new_one_takes_the_place_of_the_old_one(pair, tmp_path):
    path, fresh = pair
    replacing.replace(path, fresh)
    assert is_new(path)
    open_store(path).verify()
    assert os.listdir(tmp_path) == ["a.fod"]


def test_where_nothing_is_it_is_a_name(pair, tmp_path):
    path, fresh = pair
    replacing.discard(path)
    replacing.replace(path, fresh)
    assert is_new(path)
    assert os.listdir(tmp_path) == ["a.fod"]


def test_an_incomplete_one_replaces_nothing(pair):
    path, fresh = pair
    (fresh / "manifest.json").unlink()
    with pytest.raises(StoreError, match="incomplete"):
        replacing.replace(path, fresh)
    assert stores.agrees(open_store(path))


def test_a_crash_at_any_change_loses_neither(pair, tmp_path, monkeypatch):
    path, fresh = pair
    rows = {np.asarray(open_store(one)).tobytes() for one in pair}
    original = files.rename
    for number in range(2):
        left = [number]

        def crash(source, target, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            original(source, target)

        monkeypatch.setattr(files, "rename", crash)
        with pytest.raises(KeyboardInterrupt):
            replacing.replace(path, fresh)
        found = [one.parent for one in tmp_path.rglob("manifest.json")]
        assert {np.asarray(open_store(one)).tobytes() for one in found} == rows
    monkeypatch.setattr(files, "rename", original)
    replacing.replace(path, fresh)
    assert is_new(path)


@pytest.mark.parametrize("where", ["", "shards"])
def test_files_of_others_are_never_deleted(pair, where):
    path, fresh = pair
    (path / where / "thesis.tex").write_text("")
    for action in (lambda: replacing.replace(path, fresh), lambda: replacing.discard(path)):
        with pytest.raises(StoreError, match=r"holds more than a store, so it is not replaced: .*thesis\.tex"):
            action()
    assert (path / where / "thesis.tex").exists()
    assert fresh.exists()


def test_what_is_no_store_is_never_deleted(tmp_path):
    for name, make in (("file.fod", lambda path: path.write_text("")), ("folder.fod", lambda path: path.mkdir())):
        make(tmp_path / name)
        with pytest.raises(StoreError, match="cannot be opened as a store, so it is not replaced"):
            replacing.check_replaceable(tmp_path / name)
        assert (tmp_path / name).exists()
    replacing.check_replaceable(tmp_path / "nothing.fod")


def test_a_store_that_somebody_writes_to_is_not_replaced(pair):
    path, fresh = pair
    lock = Lock(path / "lock")
    with pytest.raises(StoreError, match="another writer is at work"):
        replacing.replace(path, fresh)
    lock.release()
    replacing.replace(path, fresh)
    assert is_new(path)


def test_an_unfinished_one_may_be_replaced_and_discarded(pair):
    path, fresh = pair
    (path / "manifest.json").unlink()
    shard(path, 1).unlink()
    replacing.check_replaceable(path)
    replacing.replace(path, fresh)
    (path / "manifest.json").unlink()
    (path / "spec.json").unlink()
    for name in os.listdir(path / "shards"):
        (path / "shards" / name).unlink()
    replacing.discard(path)  # begun, without rows
    assert not path.exists()
