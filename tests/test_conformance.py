"""Our own backends run the suite that we give to third parties."""

import importlib

import pytest

from probly.data_generator.testing import BackendConformance
from tests.conftest import BACKENDS


def conformance(name):
    """Return the suite of one backend from its module in tests/frameworks."""
    framework = importlib.import_module(f"tests.frameworks.{name}")
    parts = ("mlp", "cnn", "function", "array", "dataset", "loader", "shuffled_loader", "out_of_memory")
    methods = {part: staticmethod(getattr(framework, part)) for part in parts if hasattr(framework, part)}
    constants = {"backend": framework.NAME, "framework_modules": framework.MODULES}
    return type(f"Test{name.capitalize()}", (BackendConformance,), {**methods, **constants})


if "numpy" in BACKENDS:
    TestNumpy = conformance("numpy")
if "torch" in BACKENDS:
    TestTorch = conformance("torch")
if "jax" in BACKENDS:
    TestJax = conformance("jax")
if "tensorflow" in BACKENDS:
    TestTensorflow = conformance("tensorflow")


def test_unknown_backends_are_not_ignored():
    assert set(BACKENDS) <= {"numpy", "torch", "jax", "tensorflow"}


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_was_collected(name):
    assert f"Test{name.capitalize()}" in globals()
