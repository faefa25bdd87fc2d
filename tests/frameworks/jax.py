"""What the shared tests need from JAX: models with given weights, and datasets."""

import jax
import jax.numpy as jnp
from flax import nnx

from probly_data_generator_jax.dataset import JaxDataLoader

NAME = "jax"
MODULES = ("jax", "jaxlib", "flax", "equinox")


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


def mlp(weights):
    """Return the MLP of these weights, with a dropout that must stay off."""
    return MLP(weights)


def cnn(weights):
    """Return the CNN of these weights as a plain function."""
    kernel, kernel_bias, dense, dense_bias = map(jnp.asarray, weights)

    def model(images):
        layout = ("NHWC", "HWIO", "NHWC")
        features = jax.lax.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=layout)
        return jax.nn.relu(features + kernel_bias).reshape(len(images), -1) @ dense + dense_bias

    return model


def function(callable_on_arrays):
    """Return a model from a function of the framework's own arrays."""
    return callable_on_arrays


def array(values):
    """Return the framework's array."""
    return jnp.asarray(values)


class Pairs:
    """A per-item dataset."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = jnp.asarray(inputs), jnp.asarray(labels)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


def dataset(inputs, labels):
    """Return the framework's own kind of dataset."""
    return Pairs(inputs, labels)


def loader(inputs, labels, batch_size):
    """Return the framework's own kind of loader, in order."""
    return JaxDataLoader((inputs, labels), batch_size=batch_size)


def shuffled_loader(inputs, labels, batch_size):
    """Return a loader that shuffles."""
    return JaxDataLoader((inputs, labels), batch_size=batch_size, shuffle=True)


def out_of_memory():
    """Return the error that JAX raises when a device's memory does not suffice."""
    return jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes.")
