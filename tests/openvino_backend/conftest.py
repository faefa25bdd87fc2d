"""A model in its two files."""

import pytest

from tests.openvino_backend.runs import save


@pytest.fixture
def path(tmp_path):
    return save(tmp_path / "mlp.xml")
