"""The real system calls: what gets its final name has been fsynced before, and its folder is fsynced after.

The simulator of power loss stands in for the primitives; this looks at what they ask of the operating system.
"""

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import Distributions
from probly.data_generator.store import save
from tests.store import stores


@pytest.fixture
def calls(monkeypatch):
    """Record fsync and what gives a name in order: (kind, inode or paths)."""
    recorded = []
    fsync = os.fsync

    def recording_fsync(handle):
        status = os.fstat(handle)
        recorded.append(("folder" if stat.S_ISDIR(status.st_mode) else "file", status.st_ino))
        fsync(handle)

    def recording(original):
        def give(source, target, **options):
            recorded.append(("name", Path(source).stat().st_ino, Path(target).parent.stat().st_ino, Path(target).name))
            original(source, target, **options)

        return give

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(os, "replace", recording(os.replace))
    monkeypatch.setattr(os, "link", recording(os.link))
    return recorded


def check(recorded):
    """Compare each name that is given with the calls around it; return them."""
    names = []
    for place, call in enumerate(recorded):
        if call[0] == "name":
            _, inode, folder, name = call
            names.append(name)
            assert ("file", inode) in recorded[:place], f"{name}: given before its bytes were on the disk"
            assert ("folder", folder) in recorded[place + 1 :], f"{name}: its name was never brought to the disk"
    return names


def test_every_file_of_a_store(tmp_path, calls):
    stores.run(tmp_path / "a.fod", shard_megabytes=1e-4)
    names = check(calls)
    assert {"spec.json", "manifest.json"} < set(names)
    assert len([name for name in names if name.endswith(".safetensors")]) > 1


@pytest.mark.parametrize("suffix", [".json", ".npz", ".parquet", ".safetensors"])
def test_every_other_format(tmp_path, calls, suffix):
    save(tmp_path / f"a{suffix}", Distributions(np.full((3, 2), 0.5)))
    assert check(calls) == [f"a{suffix}"]
