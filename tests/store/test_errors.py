"""Disks that fail: every call once and from then on, full disks, limits on the size of files, signals."""

import errno
import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import StoreError
from probly.data_generator.run import loop
from probly.data_generator.store import open_partial, open_store
from probly_data_generator_store import files, lock, publisher, writer
from tests.store import stores

ROOT = Path(__file__).parents[2]


def failing(number, error, *, always=False):
    """Fail the n-th change of the disk, or all from then on; the list collects the names of those that failed."""
    left, failed = number, []

    def before(name, original, *arguments):
        nonlocal left
        left -= 1
        if left == 0 or (always and left < 0):
            failed.append(name)
            if name == "write":  # half of it arrives
                view = memoryview(arguments[1]).cast("B")
                original(arguments[0], view[: len(view) // 2], arguments[2])
            raise OSError(error, os.strerror(error))
        return original(*arguments)

    return stores.watching(before), failed


def failure(path):
    """Run and return the StoreError that ended the run, or None."""
    try:
        stores.run(path)
    except StoreError as error:
        return error
    return None


def handles():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("always", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EACCES])
def test_every_call_that_fails_stops_the_run_and_costs_nothing_that_was_safe(tmp_path, error, always):
    gc.collect()  # maps of other tests' stores keep their files open until then
    number, seen, before = 0, set(), handles()
    while True:
        number += 1
        path = tmp_path / f"{number}.fod"
        context, failed = failing(number, error, always=always)
        with context:
            caught = failure(path)
        if caught is None and not failed:
            break
        seen.update(failed)
        if caught is None:  # the draft of a file that was published stays; it is in nobody's way
            assert failed[0] == "remove"
            open_store(path).verify()
            shutil.rmtree(path)
            continue
        assert str(path) in str(caught)
        assert isinstance(caught.__cause__, OSError)
        safe = len(open_partial(path)) if (path / "spec.json").exists() else 0
        assert stores.agrees(stores.run(path))
        assert safe <= stores.ROWS
        left = [name for folder in (path, path / "shards") for name in os.listdir(folder)]
        # A disk that lets nothing be removed keeps the draft of a manifest that has its name already.
        assert not [name for name in left if name.endswith(".part") and not (always and name.startswith(".manifest"))]
        shutil.rmtree(path)
    gc.collect()
    assert handles() == before
    assert failed == []
    assert seen >= {"create", "write", "sync", "give_name", "remove", "make_directory", "sync_directory"}
    assert number > 40


def test_a_failed_fsync_is_never_tried_again(tmp_path, monkeypatch):
    path, calls = tmp_path / "a.fod", []
    original = files.sync

    def sync(handle):
        calls.append(handle)
        if len(calls) == 3:  # the second shard
            raise OSError(errno.EIO, "the disk failed")
        original(handle)

    monkeypatch.setattr(files, "sync", sync)
    with pytest.raises(StoreError, match="10 rows are safe, and the same call continues from there"):
        stores.run(path)
    assert len(calls) == 3
    assert list(open_partial(path)) == list(range(10))


def test_short_writes_are_continued(tmp_path, monkeypatch):
    original = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: original(handle, data[: max(1, len(data) // 3)], at))
    assert stores.agrees(stores.run(tmp_path / "a.fod"))


def test_signals_that_interrupt_writes_change_nothing(tmp_path):
    seen = []
    previous = signal.signal(signal.SIGALRM, lambda *arguments: seen.append(arguments))
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        for number in range(5):
            assert stores.agrees(stores.run(tmp_path / f"{number}.fod"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        time.sleep(0.05)  # a last one may be on its way to another thread, and would end this process
        signal.signal(signal.SIGALRM, previous)
    assert len(seen) > 20


def test_a_name_that_the_file_system_refuses(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    path = tmp_path / "a.fod"
    monkeypatch.setattr(files, "give_name", refuse)
    with pytest.raises(StoreError, match=r"spec.json: cannot be written: .*cross-device.*0 rows are safe"):
        stores.run(path)
    assert not path.exists()
    monkeypatch.undo()
    assert stores.agrees(stores.run(path))


GREEDY = """
    import resource, sys
    from tests.store import stores

    class Greedy(stores.Linear):
        def __call__(self, inputs):
            if (inputs == stores.INPUTS[25]).all(axis=1).any():
                soft, hard = resource.getrlimit(resource.RLIMIT_AS)
                size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (size + 2**24, hard))
                stores.np.ones(2**28)
            return super().__call__(inputs)

    Greedy.__qualname__ = "Linear"
    stores.run(sys.argv[1], model=Greedy(), shard_megabytes=1)
"""


def test_a_run_that_is_out_of_memory_publishes_what_is_there(tmp_path):
    path = tmp_path / "a.fod"
    command = [sys.executable, "-c", textwrap.dedent(GREEDY), path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MemoryError" in done.stderr or "Unable to allocate" in done.stderr
    assert list(open_partial(path)) == list(range(25))
    assert stores.agrees(stores.run(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root; limits on the size of files do not")
def test_a_full_disk_says_what_is_missing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", disk], check=True)
    try:
        path = disk / "a.fod"
        with pytest.raises(
            StoreError, match=r"No space left.*it needs [0-9]+ bytes, [0-9]+ are free.*rows are safe"
        ) as caught:
            stores.run(path, shard_megabytes=1e-9)
        safe = len(open_partial(path))
        assert 0 < safe < stores.ROWS
        assert f"the rest of the run needs about {(stores.ROWS - safe) * 12} bytes; {safe} rows" in str(caught.value)
        subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
        assert stores.agrees(stores.run(path, shard_megabytes=1e-9))
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("limit", [0, 1, 300, 600, 900, 1100, 1200])
def test_a_limit_on_the_size_of_files(tmp_path, limit):
    path = tmp_path / "a.fod"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(StoreError, match=r"File too large.*it needs"):
            stores.run(path, shard_megabytes=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert stores.agrees(stores.run(path, shard_megabytes=1))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        stores.run(tmp_path / "file" / "a.fod")
    (tmp_path / "b.fod").write_text("")
    with pytest.raises(StoreError, match="expected a folder"):
        stores.run(tmp_path / "b.fod")
    (tmp_path / "c.fod").mkdir()
    (tmp_path / "c.fod" / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match=r"not a store: it holds thesis.tex"):
        stores.run(tmp_path / "c.fod")


# What comes from outside: Ctrl-C, SIGTERM, models that fail.


def failing_at(rows, error):
    """Return a model like the usual one that fails when it meets a row."""

    class Linear(stores.Linear):
        def __call__(self, inputs):
            if np.array_equal(inputs[0], stores.INPUTS[rows]):
                raise error
            return super().__call__(inputs)

    Linear.__qualname__ = "Linear"
    return Linear()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), ValueError("bad"), RuntimeError("broken layer")])
@pytest.mark.parametrize("rows", [20, 25])
def test_whole_batches_are_published_whatever_ends_the_run(tmp_path, error, rows):
    path = tmp_path / "a.fod"
    with pytest.raises(type(error)):
        stores.run(path, model=failing_at(rows, error), shard_megabytes=1)
    assert list(open_partial(path)) == list(range(rows))
    assert stores.agrees(stores.run(path))


@pytest.mark.parametrize(
    ("kind", "name"),
    [(files.Draft, "publish"), (publisher.Publisher, "_forget"), (publisher.Publisher, "publish_shard")],
)
@pytest.mark.parametrize("after", [False, True])
def test_ctrl_c_while_a_shard_is_published_loses_nothing(tmp_path, monkeypatch, kind, name, after):
    path, original, shards = tmp_path / "a.fod", getattr(kind, name), []

    def interrupted(self, *arguments):
        first = (path / "spec.json").exists() and not shards
        if first:
            shards.append(1)
        answer = original(self, *arguments) if not first or after else None
        if first:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(kind, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        stores.run(path)
    assert len(open_partial(path)) >= 10
    open_partial(path).verify()
    assert stores.agrees(stores.run(path))


def test_a_second_ctrl_c_while_publishing(tmp_path, monkeypatch):
    path = tmp_path / "a.fod"

    def interrupted(handle):
        raise KeyboardInterrupt

    original = files.sync
    monkeypatch.setattr(
        files, "sync", lambda handle: original(handle) if not (path / "spec.json").exists() else interrupted(handle)
    )
    with pytest.raises(KeyboardInterrupt):
        stores.run(path, shard_megabytes=1)
    monkeypatch.undo()
    assert list(open_partial(path)) == []
    assert stores.agrees(stores.run(path))


SLOW = """
    import os, signal, sys
    from tests.store import stores

    # Where the tests run in the background, the shell has set SIGINT to be ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    class Sender(stores.Linear):
        def __call__(self, inputs):
            if stores.np.array_equal(inputs[0], stores.INPUTS[25]):
                os.kill(os.getpid(), signal.%s)
            return super().__call__(inputs)

    Sender.__qualname__ = "Linear"
    stores.run(sys.argv[1], model=Sender(), shard_megabytes=1)
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", -signal.SIGINT)])
def test_signals_publish_what_is_there(tmp_path, name, code):
    path = tmp_path / "a.fod"
    program = textwrap.dedent(SLOW % name)
    done = subprocess.run([sys.executable, "-c", program, path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert list(open_partial(path)) == list(range(25))
    assert stores.agrees(stores.run(path))


def test_a_handler_of_somebody_elses_stays(tmp_path):
    seen = []
    previous = signal.signal(signal.SIGTERM, lambda *arguments: seen.append(arguments))
    try:
        handler = signal.getsignal(signal.SIGTERM)
        stores.run(tmp_path / "a.fod")
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, previous)
    stores.run(tmp_path / "b.fod")
    assert signal.getsignal(signal.SIGTERM) is previous


def test_time_closes_a_shard_too(tmp_path, monkeypatch):
    now = iter(range(10**6))
    monkeypatch.setattr(writer, "clock", lambda: next(now))
    monkeypatch.setattr(loop, "LONGEST_WAIT", 0)  # batches are handed on one by one
    stores.run(tmp_path / "a.fod", shard_megabytes=1, shard_seconds=3)
    # The clock is read once when a shard begins and once after each batch.
    assert min(os.listdir(tmp_path / "a.fod" / "shards")) == "000000000000-000000000015.safetensors"


def test_a_lock_on_a_file_that_is_removed_at_this_moment_is_none(tmp_path, monkeypatch):
    original = lock._lock

    def late(handle, shared):
        (tmp_path / "lock").unlink()  # its holder removes a store that got no rows
        original(handle, shared)

    monkeypatch.setattr(lock, "_lock", late)
    with pytest.raises(StoreError, match="another writer is at work"):
        lock.Lock(tmp_path / "lock")
