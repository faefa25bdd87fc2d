"""A generator is made before its model is trained: its first run uses the weights of that moment, on every backend."""

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.conftest import WITH_WEIGHTS

INPUTS = reference.samples(rows=20, shape=(4,))[0]
WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def numpy_model():
    class Linear:
        weights = np.zeros_like(WEIGHTS)

        def __call__(self, inputs):
            return inputs @ self.weights

    model = Linear()
    return model, lambda: setattr(model, "weights", WEIGHTS)


def torch_model():
    import torch

    model = torch.nn.Linear(4, 3, bias=False)
    return model, lambda: model.load_state_dict({"weight": torch.tensor(WEIGHTS.T)})


def transformers_model():
    from tests.frameworks.transformers import Function

    inner, train = torch_model()
    model = Function(None)
    model.function = inner  # a module: its weights are the model's
    return model, train


def jax_model():
    from flax import nnx

    model = nnx.Linear(4, 3, use_bias=False, rngs=nnx.Rngs(0))
    return model, lambda: nnx.update(model, {"kernel": WEIGHTS})


def tensorflow_model():
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, use_bias=False)])
    return model, lambda: model.set_weights([WEIGHTS])


def onnx_model():
    import onnx

    from tests.frameworks.onnx import FLOAT, model_of

    model = model_of(
        [("MatMul", "x w", "y", {})], {"x": (FLOAT, ["N", 4])}, {"y": (FLOAT, ["N", 3])}, {"w": np.zeros_like(WEIGHTS)}
    )
    return model, lambda: model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(WEIGHTS, "w"))


def sklearn_model():
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(INPUTS, np.arange(20) % 2)

    def train():
        model.classes_, model.coef_, model.intercept_ = np.array(["a", "b", "c"]), WEIGHTS.T, np.zeros(3)

    return model, train


def openvino_model():
    from openvino import opset13 as op

    from tests.frameworks.openvino import model_of

    weights = np.zeros_like(WEIGHTS)
    shared = op.constant(weights, shared_memory=True)
    model = model_of(lambda x: op.matmul(x, shared, transpose_a=False, transpose_b=False), [-1, 4])
    return model, lambda: weights.__setitem__(slice(None), WEIGHTS)


def litert_model():
    from tests.frameworks.litert import Builder, live

    made = Builder()
    x = made.tensor("x", [-1, 4])
    model = live(made.content({"x": x}, {"y": made.dense(x, WEIGHTS, np.zeros(3, np.float32), "y")}))
    return model, lambda: model.resize_tensor_input(0, [6, 4])  # its weights never change, but its shapes may


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_weights_of_the_moment_are_used(name):
    model, train = globals()[f"{name}_model"]()
    made = FirstOrderDataGenerator(model, batch_size=8)
    train()
    found = made.generate_distributions(INPUTS, progress=False)
    np.testing.assert_allclose(found.probabilities, reference.softmax(INPUTS @ WEIGHTS), rtol=0, atol=1e-6)
    assert found.class_names == (["a", "b", "c"] if name == "sklearn" else None)


@pytest.mark.parametrize("name", [name for name in WITH_WEIGHTS if name == "torch"])  # the option is torch's
def test_a_copy_of_the_model_is_made_again(name):
    model, train = torch_model()
    made = FirstOrderDataGenerator(model, options={"channels_last": True})
    first = made.loaded_model
    assert made.loaded_model.is_current()
    train()
    found = made.generate_distributions(INPUTS, progress=False)
    np.testing.assert_allclose(found.probabilities, reference.softmax(INPUTS @ WEIGHTS), rtol=0, atol=1e-6)
    assert made.loaded_model is not first
