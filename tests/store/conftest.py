"""What all tests of the store have."""

import shutil

import pytest

from tests.formats.common import installed_once  # noqa: F401  # for every test here
from tests.store import damage, stores


@pytest.fixture(scope="session")
def intact(tmp_path_factory):
    path = tmp_path_factory.mktemp("intact") / "a.fod"
    stores.run(path, damage.TWELVE)
    return path


@pytest.fixture
def store(intact, tmp_path):
    shutil.copytree(intact, tmp_path / "a.fod")
    return tmp_path / "a.fod"
