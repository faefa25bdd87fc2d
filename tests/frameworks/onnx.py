"""The suite on ONNX Runtime, and the models that its own tests share with it."""

import hashlib

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from probly.data_generator.testing import BackendConformance

FLOAT = TensorProto.FLOAT


def model_of(nodes, inputs, outputs, weights=None, opset=21, ir_version=10, domains=()):
    """Return a checked ModelProto.

    Args:
        nodes: In order, each ``(operator, inputs, outputs, attributes)`` with names divided by blanks.
        inputs: ``{name: (type, shape)}``.
        outputs: Likewise.
        weights: ``{name: array}``.
    """
    made = [helper.make_node(kind, read.split(), write.split(), **options) for kind, read, write, options in nodes]
    values = [[helper.make_tensor_value_info(name, *kind) for name, kind in part.items()] for part in (inputs, outputs)]
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(made, "model", *values, initializers)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(*domain) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def mlp_model(weights, rows="N", **options):
    """Return the MLP of these weights as a ModelProto, with a dropout that is off at inference."""
    features, classes = weights.first.shape[0], weights.second.shape[1]
    nodes = [
        ("Gemm", "x first first_bias", "hidden", {}),
        ("Relu", "hidden", "positive", {}),
        ("Dropout", "positive", "kept", {}),
        ("Gemm", "kept second second_bias", "logits", {}),
    ]
    outputs = {"logits": (FLOAT, [rows, classes])}
    return model_of(nodes, {"x": (FLOAT, [rows, features])}, outputs, weights._asdict(), **options)


def cnn_model(weights, rows="N", layout="NHWC"):
    """Return the CNN of these weights as a ModelProto; ONNX convolves NCHW."""
    channels, filters = weights.kernel.shape[2:]
    side = round((len(weights.dense) / filters) ** 0.5) + 2
    shape = [rows, side, side, channels] if layout == "NHWC" else [rows, channels, side, side]
    nodes = [
        ("Transpose", "x", "images", {"perm": [0, 3, 1, 2]}) if layout == "NHWC" else ("Identity", "x", "images", {}),
        ("Conv", "images kernel kernel_bias", "features", {}),
        ("Relu", "features", "positive", {}),
        ("Transpose", "positive", "last", {"perm": [0, 2, 3, 1]}),
        ("Flatten", "last", "flat", {}),
        ("Gemm", "flat dense dense_bias", "logits", {}),
    ]
    parts = {**weights._asdict(), "kernel": weights.kernel.transpose(3, 2, 0, 1)}
    return model_of(nodes, {"x": (FLOAT, shape)}, {"logits": (FLOAT, [rows, weights.dense.shape[1]])}, parts)


def session(model):
    """Return a live session on the CPU."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # its errors are raised; printed, they would look like failed tests
    return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def of_example(nodes, example, output=None, **weights):
    """Return a session of nodes from x to y, for batches like an example."""
    kind = helper.np_dtype_to_tensor_dtype(example.dtype)
    shape = ["N", *example.shape[1:]]
    return session(model_of(nodes, {"x": (kind, shape)}, {"y": (output or kind, ["M", *shape[1:]])}, weights))


class Pairs:
    """A per-item dataset."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = inputs, labels

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


class TestOnnx(BackendConformance):
    backend = "onnx"
    framework_modules = ("onnxruntime", "onnx")
    cannot = frozenset({"functions"})

    def mlp(self, weights):
        return session(mlp_model(weights))

    def cnn(self, weights):
        return session(cnn_model(weights))

    def dataset(self, inputs, labels):
        return Pairs(inputs, labels)

    def model_state(self, model):
        settings = model.get_session_options()
        return {
            "weights": hashlib.sha256(model._model_bytes).hexdigest(),
            "providers": model.get_providers(),
            "threads": settings.intra_op_num_threads,
            "logging": settings.log_severity_level,
        }

    def identity(self, example):
        return of_example([("Identity", "x", "y", {})], example)

    def every_second_row(self, example):
        slices = {"starts": [0], "ends": [np.iinfo(np.int64).max], "axes": [0], "steps": [2]}
        return of_example([("Slice", "x starts ends axes steps", "y", {})], example, **slices)

    def bfloat16(self, example):
        return of_example([("Cast", "x", "y", {"to": TensorProto.BFLOAT16})], example, TensorProto.BFLOAT16)

    def bayesian(self, mu, rho):
        nodes = [
            ("RandomNormalLike", "layer.weight_mu", "noise", {}),
            ("Softplus", "layer.weight_rho", "sigma", {}),
            ("Mul", "noise sigma", "scaled", {}),
            ("Add", "layer.weight_mu scaled", "weight", {}),
            ("MatMul", "x weight", "y", {}),
        ]
        weights = {"layer.weight_mu": mu, "layer.weight_rho": rho}
        inputs, outputs = {"x": (FLOAT, ["N", len(mu)])}, {"y": (FLOAT, ["N", mu.shape[1]])}
        return session(model_of(nodes, inputs, outputs, weights))

    def out_of_memory(self):
        """Return the error of a real allocation that cannot succeed."""
        nodes = [("ConstantOfShape", "size", "huge", {}), ("ReduceMax", "huge", "y", {"keepdims": 0})]
        live = session(model_of(nodes, {"size": (TensorProto.INT64, [1])}, {"y": (FLOAT, [])}))
        with pytest.raises(Exception, match="allocate") as caught:
            live.run(None, {"size": np.array([2**54])})
        return caught.value
