"""What is installed is looked up once for all tests of the store: they make thousands of runs, and test other things."""

import functools

import pytest

from probly.data_generator.discovery import listing

looked_up = functools.cache(listing._scan)


@pytest.fixture(autouse=True)
def installed_once(monkeypatch):
    monkeypatch.setattr(listing, "_scan", looked_up)
