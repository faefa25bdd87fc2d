"""A store of twelve rows to be damaged, and whether that was noticed."""

import os

import numpy as np

from probly.data_generator import StoreError
from probly.data_generator.store import open_store
from tests.store import stores

SPEC, MANIFEST = "spec.json", "manifest.json"
TWELVE = (stores.INPUTS[:12], stores.LABELS[:12])


def names(path):
    return [SPEC, MANIFEST, *(f"shards/{name}" for name in sorted(os.listdir(path / "shards")))]


def is_right(found):
    rows = np.asarray(found)
    same = np.array_equal(rows, stores.EXPECTED.gather(found.indices)) and np.array_equal(
        found.labels, found.indices % 3
    )
    return same and len(rows) == 12


def noticed(path, opened=open_store):
    """Return whether a StoreError came; rows that are not right fail the test."""
    try:
        found = opened(path)
        found.verify()
        assert is_right(found), "silently wrong"
    except StoreError:
        return True
    return False


def replace(path, data):
    """Write a file anew; in place, where it keeps its size, since emptying it first takes ten times as long."""
    path.chmod(0o644)
    if path.stat().st_size != len(data):
        path.write_bytes(data)
        return
    handle = os.open(path, os.O_WRONLY)
    os.pwrite(handle, data, 0)
    os.close(handle)


def flipped(path):
    """Flip every bit of a file in turn, in place: opening it anew to write takes most of the time of such a test.

    Yields the bit; the file is as before in the end.
    """
    path.chmod(0o644)
    data = path.read_bytes()
    handle = os.open(path, os.O_WRONLY)
    try:
        for bit in range(8 * len(data)):
            place = bit // 8
            os.pwrite(handle, bytes([data[place] ^ 1 << bit % 8]), place)
            yield bit
            os.pwrite(handle, data[place : place + 1], place)
    finally:
        os.close(handle)


def shortened(path):
    """Cut a file byte by byte to nothing; yields its length each time."""
    path.chmod(0o644)
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        yield length
