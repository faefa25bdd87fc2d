"""The suite on JAX."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from probly.data_generator.testing import BackendConformance
from probly_data_generator_jax.training import JaxDataLoader


class MLP(nnx.Module):
    """Two dense layers, with a dropout that must stay off."""

    def __init__(self, weights):
        rngs = nnx.Rngs(0)
        self.first = nnx.Linear(*weights.first.shape, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.second = nnx.Linear(*weights.second.shape, rngs=rngs)
        _set(self.first, weights.first, weights.first_bias)
        _set(self.second, weights.second, weights.second_bias)

    def __call__(self, inputs):
        return self.second(self.dropout(jax.nn.relu(self.first(inputs))))


def _set(layer, kernel, bias):
    layer.kernel = nnx.Param(jnp.asarray(kernel))
    layer.bias = nnx.Param(jnp.asarray(bias))


def _numbers(leaf):
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


class Bayesian(nnx.Module):
    """A layer with a normal posterior."""

    def __init__(self, mu, rho):
        self.kernel_mu, self.kernel_rho = nnx.Param(jnp.asarray(mu)), nnx.Param(jnp.asarray(rho))

    def __call__(self, inputs):
        return inputs @ self.kernel_mu


class Pairs:
    """A per-item dataset."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = jnp.asarray(inputs), jnp.asarray(labels)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


class TestJax(BackendConformance):
    backend = "jax"
    framework_modules = ("jax", "jaxlib", "flax", "equinox")

    def mlp(self, weights):
        return MLP(weights)

    def cnn(self, weights):
        kernel, kernel_bias, dense, dense_bias = map(jnp.asarray, weights)

        def model(images):
            layout = ("NHWC", "HWIO", "NHWC")
            features = jax.lax.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=layout)
            return jax.nn.relu(features + kernel_bias).reshape(len(images), -1) @ dense + dense_bias

        return model

    def bfloat16(self, example):
        return lambda batch: batch.astype(jnp.bfloat16)

    def bayesian(self, mu, rho):
        return nnx.Sequential(nnx.Linear(2, len(mu), rngs=nnx.Rngs(0)), Bayesian(mu, rho))

    def array(self, values):
        return jnp.asarray(values)

    def dataset(self, inputs, labels):
        return Pairs(inputs, labels)

    def loader(self, inputs, labels, batch_size):
        return JaxDataLoader((inputs, labels), batch_size=batch_size)

    def shuffled_loader(self, inputs, labels, batch_size):
        return JaxDataLoader((inputs, labels), batch_size=batch_size, shuffle=True)

    def model_state(self, model):
        leaves = jax.tree.leaves(nnx.state(model))
        return {
            "weights, random keys and counts": [_numbers(leaf) for leaf in leaves],
            "devices": [str(leaf.devices()) for leaf in leaves],
            "deterministic": model.dropout.deterministic,
        }

    def out_of_memory(self):
        return jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes.")
