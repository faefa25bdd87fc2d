"""File systems that lack something: what is a hint there, what ends a run, and what each is called."""

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import Distributions, StoreError
from probly.data_generator.formats import atomic
from probly.data_generator.store import load, open_partial, open_store, save
from probly_data_generator_store import files, lock
from tests.store import stores
from tests.store.damage import MANIFEST, TWELVE, names

SMALL = Distributions([[0.25, 0.75]], labels=["cat"])
NOT_OFFERED = [errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS]


def failing(error, only=lambda *arguments: True, original=None):
    """Return a function that fails where ``only`` says so, after it has done its work."""

    def fail(*arguments, **options):
        answer = None if original is None else original(*arguments, **options)
        if only(*arguments):
            raise OSError(error, os.strerror(error))
        return answer

    return fail


@pytest.mark.parametrize("error", NOT_OFFERED)
def test_modes_and_the_fsync_of_folders_are_hints(tmp_path, monkeypatch, error):
    fsync = os.fsync
    monkeypatch.setattr(os, "fchmod", failing(error))
    monkeypatch.setattr(Path, "chmod", failing(error))
    monkeypatch.setattr(os, "fsync", failing(error, lambda handle: os.path.isdir(f"/proc/self/fd/{handle}"), fsync))  # noqa: PTH112
    assert stores.agrees(stores.run(tmp_path / "a.fod"))
    for suffix in (".json", ".npz", ".safetensors", ".parquet", ".fod"):
        save(tmp_path / f"b{suffix}", SMALL)
        assert load(tmp_path / f"b{suffix}")[0] == SMALL


@pytest.mark.parametrize("error", [*NOT_OFFERED, errno.EIO, errno.ENOSPC])
def test_the_fsync_of_data_is_no_hint(tmp_path, monkeypatch, error):
    monkeypatch.setattr(os, "fsync", failing(error))
    with pytest.raises(StoreError, match="cannot be written"):
        stores.run(tmp_path / "a.fod")
    for suffix in (".json", ".npz", ".safetensors", ".parquet"):
        with pytest.raises(OSError, match=os.strerror(error)):
            save(tmp_path / f"b{suffix}", SMALL)
    assert not list(tmp_path.glob("b.*"))


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_folder_that_cannot_reach_the_disk_ends_the_run(tmp_path, monkeypatch, error):
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", failing(error, lambda handle: os.path.isdir(f"/proc/self/fd/{handle}"), fsync))  # noqa: PTH112
    with pytest.raises(StoreError, match="cannot be written"):
        stores.run(tmp_path / "a.fod")
    with pytest.raises(OSError, match=os.strerror(error)):
        atomic.sync_directory(tmp_path)


def test_a_close_that_fails(tmp_path, monkeypatch):
    close = os.close
    stores.run(tmp_path / "a.fod")
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", failing(errno.EIO, original=close))
        found = open_store(tmp_path / "a.fod")  # what was read is not worse for it
        found.verify()
        assert stores.agrees(found)
        with pytest.raises(StoreError, match="cannot be written"):  # what was written may be
            stores.run(tmp_path / "b.fod")
    assert stores.agrees(stores.run(tmp_path / "b.fod"))


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_no_other_writer(tmp_path, monkeypatch, error):
    monkeypatch.setattr(lock, "_lock", failing(error))
    with pytest.raises(StoreError, match=r"cannot lock a file, .*write to another disk") as caught:
        stores.run(tmp_path / "a.fod")
    assert "another writer" not in str(caught.value)
    assert not (tmp_path / "a.fod" / "spec.json").exists()
    monkeypatch.setattr(lock, "_lock", failing(errno.EIO))
    with pytest.raises(StoreError, match=r"cannot be written: .*Input/output error"):
        stores.run(tmp_path / "a.fod")
    monkeypatch.setattr(lock, "_lock", failing(errno.EWOULDBLOCK))
    with pytest.raises(StoreError, match="another writer is at work"):
        stores.run(tmp_path / "a.fod")


def test_writers_that_start_at_the_same_moment(tmp_path, monkeypatch):
    barrier, found = threading.Barrier(2), []
    monkeypatch.setattr(files, "make_directory", lambda path: (barrier.wait(60), path.mkdir(exist_ok=True)))

    def run():
        try:
            found.append(stores.agrees(stores.run(tmp_path / "deep" / "a.fod")))
        except StoreError as error:
            found.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert True in found
    (other,) = [one for one in found if one is not True] or [None]
    assert other is None or "another writer is at work" in other
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        files.make_directory(tmp_path / "file")


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO])
def test_a_shard_that_cannot_be_read_is_not_missing_and_not_damaged(store, monkeypatch, error):
    shard = store / names(store)[3]
    opened = os.open
    monkeypatch.setattr(os, "open", failing(error, lambda path, *_: Path(path).name == shard.name, opened))
    with pytest.raises(StoreError, match=os.strerror(error)) as caught:
        open_store(store).verify()
    assert "remove that shard" not in str(caught.value)
    monkeypatch.undo()
    shard.unlink()
    with pytest.raises(StoreError, match="a shard is missing"):
        open_store(store)


@pytest.mark.parametrize("complete", [True, False])
def test_a_folder_of_shards_that_is_a_link_is_refused_by_whoever_opens_it(store, tmp_path, complete):
    (store / "shards").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / ".x.part").write_text("of somebody else")
    (store / "shards").symlink_to(tmp_path / "elsewhere")
    if not complete:
        (store / MANIFEST).unlink()
    for action in (open_store, open_partial, lambda path: stores.run(path, TWELVE)):
        with pytest.raises(StoreError, match="shards: expected a folder, got a link"):
            action(store)
    assert (tmp_path / "elsewhere" / ".x.part").exists()


def test_a_link_to_a_store_is_the_store(store, tmp_path):
    (tmp_path / "link.fod").symlink_to(store)
    assert np.array_equal(np.asarray(open_store(tmp_path / "link.fod")), np.asarray(open_store(store)))
