"""Our backends' conformance suites, one file each, as a stranger would write them."""

import importlib


def suite(name):
    """Return the suite of a backend, for tests that only want its models and datasets."""
    return getattr(importlib.import_module(f"tests.frameworks.{name}"), f"Test{name.capitalize()}")()
