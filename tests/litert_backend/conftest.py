"""A model in a file."""

import pytest


@pytest.fixture
def path(tmp_path):
    from tests.frameworks.litert import mlp_model  # not above: this file is read where LiteRT is not, too
    from tests.litert_backend.runs import WEIGHTS

    file = tmp_path / "mlp.tflite"
    file.write_bytes(mlp_model(WEIGHTS))
    return file
