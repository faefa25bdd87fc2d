"""`first-order` with a file of ONNX."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.command_line.sessions import COUNT, SIZE, check_session, folder_of_pictures, generated, softmax


def test_a_file_of_onnx(tmp_path):
    pixels = folder_of_pictures(tmp_path / "pets")
    weights = np.random.default_rng(1).normal(scale=0.05, size=(3 * SIZE * SIZE, 3)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["logits"])]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    result = generated(tmp_path, "onnx", "m.onnx")
    assert result["data"]["pictures"].endswith("(channels, height, width)")
    check_session(tmp_path, softmax(pixels.transpose(0, 3, 1, 2).reshape(3 * COUNT, -1) @ weights))
