"""A model in its two files."""

import pytest


@pytest.fixture
def path(tmp_path):
    from tests.openvino_backend.runs import save  # not above: this file is read where OpenVINO is not, too

    return save(tmp_path / "mlp.xml")
