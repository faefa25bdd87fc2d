"""Our own backends run the suite that we give to third parties."""

import pytest

from tests.conftest import ALL_BACKENDS, BACKENDS

if "numpy" in BACKENDS:
    from tests.frameworks.numpy import TestNumpy  # noqa: F401
if "torch" in BACKENDS:
    from tests.frameworks.torch import TestTorch  # noqa: F401
if "jax" in BACKENDS:
    from tests.frameworks.jax import TestJax  # noqa: F401
if "tensorflow" in BACKENDS:
    from tests.frameworks.tensorflow import TestTensorflow  # noqa: F401
if "onnx" in BACKENDS:
    from tests.frameworks.onnx import TestOnnx  # noqa: F401
if "sklearn" in BACKENDS:
    from tests.frameworks.sklearn import TestSklearn  # noqa: F401


def test_unknown_backends_are_not_ignored():
    assert set(BACKENDS) <= set(ALL_BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_was_collected(name):
    assert f"Test{name.capitalize()}" in globals()
