"""A model in a file."""

import onnx
import pytest

from tests.frameworks.onnx import mlp_model
from tests.onnx_backend.runs import WEIGHTS


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "mlp.onnx"
    onnx.save(mlp_model(WEIGHTS), file)
    return file
