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
if "transformers" in BACKENDS:
    from tests.frameworks.transformers import TestTransformers  # noqa: F401
if "openvino" in BACKENDS:
    from tests.frameworks.openvino import TestOpenvino  # noqa: F401
if "litert" in BACKENDS:
    from tests.frameworks.litert import TestLitert  # noqa: F401
if "xgboost" in BACKENDS:
    from tests.frameworks.xgboost import TestXgboost  # noqa: F401
if "lightgbm" in BACKENDS:
    from tests.frameworks.lightgbm import TestLightgbm  # noqa: F401
if "catboost" in BACKENDS:
    from tests.frameworks.catboost import TestCatboost  # noqa: F401


def test_unknown_backends_are_not_ignored():
    assert set(BACKENDS) <= set(ALL_BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_was_collected(name):
    assert f"Test{name.capitalize()}" in globals()
