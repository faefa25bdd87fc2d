"""kill -9 at every change of the disk of a worker and of whoever completes the store, and every error of a disk."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from probly.data_generator import StoreError
from probly.data_generator.store import open_partial
from probly_data_generator_store import files
from tests.store import shared, stores

SCRIPT = Path(__file__).with_name("shared_killed.py")


def test_a_worker_that_is_killed_at_any_change_of_the_disk_harms_nobody(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= 40


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_one_worker_costs_the_others_nothing(tmp_path, code):
    single = tmp_path / "single.fod"
    shared.run(single)
    number, failed = 0, True
    while failed:
        number += 1
        path, failed = tmp_path / f"{number}.fod", []

        def before(name, original, *arguments, failed=failed, wanted=number, calls=[]):  # noqa: B006  # of this round
            calls.append(name)
            if len(calls) == wanted:
                failed.append(name)
                raise OSError(code, os.strerror(code))
            return original(*arguments)

        shared.run(path, share=(1, 2)) if number % 2 else None  # another worker has been there, or not
        if number % 2:
            (path / "manifest.json").unlink()
            stores.shard(path, 1).unlink()
            stores.shard(path, 0).unlink()
        safe = len(open_partial(path)) if number % 2 else 0
        with stores.watching(before):
            caught = failure(path)
        if caught is None:
            assert not failed or failed == ["remove"]
        else:
            assert str(path) in str(caught)
            assert isinstance(caught.__cause__, OSError)
            assert not (path / "spec.json").exists() or len(open_partial(path)) >= safe
        shared.run(path, share=(1, 2))
        if failed != ["remove"]:
            shared.check(path, single)
        shutil.rmtree(path)
    assert number > 20


def failure(path):
    try:
        shared.run(path, share=(0, 2))
    except StoreError as error:
        return error
    return None


def test_the_error_names_the_worker_s_disk_and_how_to_go_on(tmp_path, monkeypatch):
    original = files.sync

    def full(handle):
        if len(list((tmp_path / "a.fod" / "shards").glob("*.safetensors"))) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(handle)

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(StoreError, match=r"No space left on device; it needs [0-9]+ bytes, .*20 rows are safe"):
        shared.run(tmp_path / "a.fod")
    assert len(open_partial(tmp_path / "a.fod")) == 20
