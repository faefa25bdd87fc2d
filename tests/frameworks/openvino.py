"""The suite on OpenVINO, and the models that its own tests share with it."""

import numpy as np
import openvino
import pytest
from openvino import opset13 as op

from probly.data_generator.testing import BackendConformance

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def model_of(compute, first, dtype=openvino.Type.f32):
    """Return a Model of one input, x.

    Args:
        compute: Returns the scores of the input, or a dict of outputs by name.
        first: The shape of the input; -1 for any length.
        dtype: Its type.
    """
    x = op.parameter(openvino.PartialShape(first), dtype, name="x")
    x.output(0).set_names({"x"})
    found = compute(x)
    results = []
    for name, node in (found if isinstance(found, dict) else {"logits": found}).items():
        node.output(0).add_names({name})
        results.append(op.result(node))
    return openvino.Model(results, [x], "model")


def dense(x, weights, bias):
    return op.add(op.matmul(x, op.constant(weights), transpose_a=False, transpose_b=False), op.constant(bias))


def mlp_model(weights, rows=-1):
    """Return the MLP of these weights."""

    def compute(x):
        return dense(op.relu(dense(x, weights.first, weights.first_bias)), weights.second, weights.second_bias)

    return model_of(compute, [rows, len(weights.first)])


def cnn_model(weights, rows=-1, layout="NHWC"):
    """Return the CNN of these weights; OpenVINO convolves NCHW."""
    channels, filters = weights.kernel.shape[2:]
    side = round((len(weights.dense) / filters) ** 0.5) + 2

    def compute(x):
        images = op.transpose(x, [0, 3, 1, 2]) if layout == "NHWC" else x
        kernel = op.constant(weights.kernel.transpose(3, 2, 0, 1))
        features = op.convolution(images, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
        positive = op.relu(op.add(features, op.constant(weights.kernel_bias.reshape(1, -1, 1, 1))))
        flat = op.reshape(op.transpose(positive, [0, 2, 3, 1]), [0, -1], special_zero=True)
        return dense(flat, weights.dense, weights.dense_bias)

    shape = [rows, side, side, channels] if layout == "NHWC" else [rows, channels, side, side]
    return model_of(compute, shape)


def compiled(model, **settings):
    """Return a live CompiledModel on the CPU."""
    return openvino.Core().compile_model(model, "CPU", {**EXACT, **settings})


def like(example, compute):
    """Return a Model for batches like an example."""
    return model_of(compute, [-1, *example.shape[1:]], openvino.Type(example.dtype))


class TestOpenvino(BackendConformance):
    backend = "openvino"
    device = "CPU"
    framework_modules = ("openvino",)
    cannot = frozenset({"functions", "posterior"})

    def mlp(self, weights):
        return mlp_model(weights)

    def cnn(self, weights):
        return compiled(cnn_model(weights))

    def model_state(self, model):
        constants = [node for node in model.get_ordered_ops() if node.get_type_name() == "Constant"]
        return {
            "graph": [node.get_type_name() for node in model.get_ordered_ops()],
            "weights": [np.array(node.data) for node in constants],
            "inputs": [str(port.get_partial_shape()) for port in model.inputs],
        }

    def identity(self, example):
        return like(example, lambda x: op.convert(x, openvino.Type(example.dtype)))

    def every_second_row(self, example):
        return like(example, lambda x: op.slice(x, [0], [np.iinfo(np.int64).max], [2], [0]))

    def bfloat16(self, example):
        """Return a model whose input the backend casts; OpenVINO's own Convert cuts digits off where others round.

        It returns what is not negative as it is; one without any operator spoils the memory of OpenVINO 2026.4.
        """
        return model_of(op.relu, [-1, *example.shape[1:]], openvino.Type.bf16)

    def out_of_memory(self):
        """Return the error of a real allocation that cannot succeed."""
        shape = op.parameter([2], openvino.Type.i64, name="shape")
        huge = openvino.Model([op.result(op.broadcast(op.constant(np.float32(1)), shape))], [shape], "huge")
        with pytest.raises(RuntimeError, match="alloc") as caught:
            compiled(huge).create_infer_request().infer([np.array([2**20, 2**20])])
        return caught.value
