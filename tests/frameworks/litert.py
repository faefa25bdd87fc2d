"""The suite on LiteRT, and the models that its own tests share with it, made of the schema of its files."""

import hashlib

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from probly.data_generator.testing import BackendConformance

FLOAT, INT8, UINT8 = schema.TensorType.FLOAT32, schema.TensorType.INT8, schema.TensorType.UINT8
TYPES = {
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.float32): FLOAT,
    np.dtype(np.float64): schema.TensorType.FLOAT64,
    np.dtype(np.int8): INT8,
    np.dtype(np.uint8): UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int64): schema.TensorType.INT64,
}


class Builder:
    """A model of one graph in the making."""

    def __init__(self):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.description = 3, "model"
        self.model.buffers, self.model.operatorCodes, self.model.subgraphs = [schema.BufferT()], [], [self.graph]
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, name, shape, kind=FLOAT, quantised=None):
        """Add a tensor and return its place; -1 in its shape is any length."""
        made = schema.TensorT()
        made.name, made.type, made.buffer = name, kind, 0
        made.shape = [max(axis, 1) for axis in shape]
        if min(shape, default=1) < 0:
            made.shapeSignature = list(shape)
        if quantised:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [quantised[0]], [quantised[1]]
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, array, quantised=None):
        array = np.ascontiguousarray(array)
        place = self.tensor(f"constant {len(self.graph.tensors)}", array.shape, TYPES[array.dtype], quantised)
        self.graph.tensors[place].buffer = self.buffer(array.tobytes())
        return place

    def buffer(self, content):
        made = schema.BufferT()
        made.data = np.frombuffer(content, np.uint8)
        self.model.buffers.append(made)
        return len(self.model.buffers) - 1

    def operator(self, name, inputs, output, **options):
        """Add an operator; its options are those of the schema, such as FullyConnectedOptions."""
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), options.pop("version", 1)
        self.model.operatorCodes.append(code)
        made.opcodeIndex, made.inputs, made.outputs = len(self.model.operatorCodes) - 1, inputs, [output]
        kind = options.pop("kind", None)
        if kind:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            made.builtinOptions = getattr(schema, f"{kind}T")()
            for option, value in options.items():
                setattr(made.builtinOptions, option, value)
        self.graph.operators.append(made)
        return output

    def dense(self, x, weights, bias, name, activation=0):
        first = self.graph.tensors[x].shapeSignature if self.graph.tensors[x].shapeSignature is not None else None
        rows = -1 if first is not None else self.graph.tensors[x].shape[0]
        output = self.tensor(name, [rows, weights.shape[1]])
        inputs = [x, self.constant(weights.T.copy()), self.constant(bias)]
        kind = "FullyConnectedOptions"
        return self.operator("FULLY_CONNECTED", inputs, output, kind=kind, fusedActivationFunction=activation)

    def content(self, inputs, outputs, signature="serving_default"):
        """Return the bytes of the model; inputs and outputs are places by name."""
        self.graph.inputs, self.graph.outputs = list(inputs.values()), list(outputs.values())
        if signature:
            defined = schema.SignatureDefT()
            defined.signatureKey, defined.subgraphIndex = signature, 0
            defined.inputs, defined.outputs = (
                [self._named(*one) for one in part.items()] for part in (inputs, outputs)
            )
            self.model.signatureDefs = [defined]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _named(self, name, place):
        made = schema.TensorMapT()
        made.name, made.tensorIndex = name, place
        return made


def mlp_model(weights, rows=-1, **options):
    """Return the bytes of the MLP of these weights."""
    made = Builder()
    x = made.tensor("serving_default_x:0", [rows, len(weights.first)])
    hidden = made.dense(x, weights.first, weights.first_bias, "hidden", schema.ActivationFunctionType.RELU)
    logits = made.dense(hidden, weights.second, weights.second_bias, "StatefulPartitionedCall:0")
    return made.content({"x": x}, {"logits": logits}, **options)


def cnn_model(weights, rows=-1):
    """Return the bytes of the CNN of these weights; LiteRT convolves NHWC."""
    channels, filters = weights.kernel.shape[2:]
    side = round((len(weights.dense) / filters) ** 0.5) + 2
    made = Builder()
    x = made.tensor("serving_default_x:0", [rows, side, side, channels])
    kernel, bias = made.constant(weights.kernel.transpose(3, 0, 1, 2)), made.constant(weights.kernel_bias)
    features = made.operator(
        "CONV_2D", [x, kernel, bias], made.tensor("features", [rows, side - 2, side - 2, filters]),
        kind="Conv2DOptions", padding=schema.Padding.VALID, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1,
        fusedActivationFunction=schema.ActivationFunctionType.RELU,
    )  # fmt: skip
    shape = made.constant(np.int32([-1, len(weights.dense)]))
    flat = made.operator("RESHAPE", [features, shape], made.tensor("flat", [rows, len(weights.dense)]))
    return made.content({"x": x}, {"logits": made.dense(flat, weights.dense, weights.dense_bias, "logits")})


def one_operator(name, example, inputs=(), output=None, **options):
    """Return the bytes of a model of one operator for batches like an example."""
    made = Builder()
    x = made.tensor("x", [-1, *example.shape[1:]], TYPES[example.dtype])
    y = made.tensor("y", [-1, *example.shape[1:]], TYPES[np.dtype(output or example.dtype)])
    constants = [made.constant(np.asarray(value)) for value in inputs]
    return made.content({"x": x}, {"logits": made.operator(name, [x, *constants], y, **options)})


def live(content):
    """Return a live Interpreter that has been resized to no batch."""
    return Interpreter(model_content=content)


class TestLitert(BackendConformance):
    backend = "litert"
    framework_modules = ("ai_edge_litert",)
    cannot = frozenset({"functions", "posterior", "bfloat16"})

    def mlp(self, weights):
        return live(mlp_model(weights))

    def cnn(self, weights):
        return live(cnn_model(weights))

    def model_state(self, model):
        return {
            "model": hashlib.sha256(model._model_content).hexdigest(),
            "shapes": [details["shape"].tolist() for details in model.get_input_details()],
        }

    def identity(self, example):
        shape = np.int32([-1, *example.shape[1:]])
        return live(one_operator("RESHAPE", example, [shape]))

    def every_second_row(self, example):
        begin, end, strides = np.int32([0, 0]), np.int32([np.iinfo(np.int32).max] * 2), np.int32([2, 1])
        options = {"kind": "StridedSliceOptions", "endMask": 3, "beginMask": 3}
        model = live(one_operator("STRIDED_SLICE", example, [begin, end, strides], **options))
        model.resize_tensor_input(0, [4, *example.shape[1:]])
        return model
