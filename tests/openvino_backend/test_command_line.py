"""`first-order` with an IR: pictures, a kill in mid-run, verify and report."""

import numpy as np
from openvino import opset13 as op

from tests.command_line.sessions import COUNT, SIZE, check_session, folder_of_pictures, generated, softmax
from tests.frameworks.openvino import dense, model_of
from tests.openvino_backend.runs import save


def test_a_file_of_openvino(tmp_path):
    pixels = folder_of_pictures(tmp_path / "pets")
    weights = np.random.default_rng(1).normal(scale=0.05, size=(3 * SIZE * SIZE, 3)).astype(np.float32)

    def compute(x):
        return dense(op.reshape(x, [0, -1], special_zero=True), weights, np.zeros(3, np.float32))

    save(tmp_path / "m.xml", model_of(compute, [-1, 3, SIZE, SIZE]))
    result = generated(tmp_path, "openvino", "m.xml")
    assert result["data"]["pictures"].endswith("(channels, height, width)")
    check_session(tmp_path, softmax(pixels.transpose(0, 3, 1, 2).reshape(3 * COUNT, -1) @ weights))
