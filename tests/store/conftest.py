"""What all tests of the store have."""

import functools
import shutil

import pytest

from probly.data_generator.discovery import listing
from tests.store import damage, stores

looked_up = functools.cache(listing._scan)


@pytest.fixture(autouse=True)
def installed_once(monkeypatch):
    """Look up once what is installed: the tests make thousands of runs, and test other things."""
    monkeypatch.setattr(listing, "_scan", looked_up)


@pytest.fixture(scope="session")
def intact(tmp_path_factory):
    path = tmp_path_factory.mktemp("intact") / "a.fod"
    stores.run(path, damage.TWELVE)
    return path


@pytest.fixture
def store(intact, tmp_path):
    shutil.copytree(intact, tmp_path / "a.fod")
    return tmp_path / "a.fod"
