"""Which backends to test is said, never found out: one that is missing must fail, not vanish."""

import os

import pytest

ALL_BACKENDS = ("numpy", "torch", "jax", "tensorflow", "onnx", "sklearn")
BACKENDS = os.environ.get("BACKENDS", " ".join(ALL_BACKENDS)).split()

# The folders of backends that nobody asked for.
FOLDERS = {"torch": "torch", "jax": "jax", "tensorflow": "tf", "onnx": "onnx", "sklearn": "sklearn"}
collect_ignore_glob = [f"{folder}_backend/*" for name, folder in FOLDERS.items() if name not in BACKENDS]


def pytest_collection_modifyitems(items):
    """Keep the tests of a file in one process, which then makes its fixtures once; SPREAD lets each go where it may."""
    for item in items:
        if not getattr(getattr(item, "module", None), "SPREAD", False):
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
