"""The same multi-layer perceptron in each framework, from one list of NumPy weights.

``layers`` is a list of ``(weight, bias)`` with ``weight`` of shape ``(inputs, outputs)``; relu between the layers.
"""

import numpy as np


def numpy_model(layers):
    """Return the model as a function on NumPy arrays."""

    def model(inputs):
        for weight, bias in layers[:-1]:
            inputs = np.maximum(inputs @ weight + bias, 0)
        weight, bias = layers[-1]
        return inputs @ weight + bias

    return model


def torch_model(layers):
    """Return the model as a torch.nn.Sequential."""
    import torch

    modules = []
    for weight, bias in layers:
        linear = torch.nn.Linear(*weight.shape)
        linear.load_state_dict({"weight": torch.tensor(weight.T), "bias": torch.tensor(bias)})
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])


def jax_model(layers):
    """Return the model as a function on jax arrays."""
    import jax
    import jax.numpy as jnp

    parameters = [(jnp.array(weight), jnp.array(bias)) for weight, bias in layers]

    def model(inputs):
        for weight, bias in parameters[:-1]:
            inputs = jax.nn.relu(inputs @ weight + bias)
        weight, bias = parameters[-1]
        return inputs @ weight + bias

    return model


def tensorflow_model(layers):
    """Return the model as a keras.Sequential."""
    import keras

    dense = [keras.layers.Dense(weight.shape[1], activation="relu") for weight, _ in layers[:-1]]
    dense.append(keras.layers.Dense(layers[-1][0].shape[1]))
    model = keras.Sequential([keras.Input((layers[0][0].shape[0],)), *dense])
    for layer, (weight, bias) in zip(dense, layers, strict=True):
        layer.set_weights([weight, bias])
    return model


MODELS = {"numpy": numpy_model, "torch": torch_model, "jax": jax_model, "tensorflow": tensorflow_model}
