"""What all tests of the store have."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.formats.common import installed_once  # noqa: F401  # for every test here
from tests.store import damage, stores

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path():
    """Give a folder in memory, where there is such a file system: these tests write ten thousands of tiny files.

    What a disk may lose is simulated. Large files belong into ``disk_path``.
    """
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        yield Path(folder)


@pytest.fixture
def disk_path(tmp_path_factory):
    """Give a folder on the disk."""
    return tmp_path_factory.mktemp("disk")


@pytest.fixture(scope="session")
def intact(tmp_path_factory):
    path = tmp_path_factory.mktemp("intact") / "a.fod"
    stores.run(path, damage.TWELVE)
    return path


@pytest.fixture
def store(intact, tmp_path):
    shutil.copytree(intact, tmp_path / "a.fod")
    return tmp_path / "a.fod"
