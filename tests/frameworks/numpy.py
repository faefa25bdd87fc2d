"""What the shared tests need from the agnostic backend."""

import numpy as np

from probly.data_generator import SimpleDataLoader

NAME = "numpy"
MODULES = ("torch", "jax", "tensorflow", "keras")


def mlp(weights):
    """Return the MLP of these weights."""
    return lambda inputs: (
        np.maximum(inputs @ weights.first + weights.first_bias, 0) @ weights.second + weights.second_bias
    )


def cnn(weights):
    """Return the CNN of these weights; float32 throughout, unlike the reference."""

    def model(images):
        height, width = images.shape[1] - 2, images.shape[2] - 2
        features = weights.kernel_bias + sum(
            images[:, row : row + height, column : column + width] @ weights.kernel[row, column]
            for row in range(3)
            for column in range(3)
        )
        return np.maximum(features, 0).reshape(len(images), -1) @ weights.dense + weights.dense_bias

    return model


def function(callable_on_arrays):
    """Return a model from a function of the framework's own arrays."""
    return callable_on_arrays


def array(values):
    """Return the framework's array."""
    return np.asarray(values)


class Pairs:
    """A per-item dataset."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = inputs, labels

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


def dataset(inputs, labels):
    """Return the framework's own kind of dataset."""
    return Pairs(inputs, labels)


def loader(inputs, labels, batch_size):
    """Return the framework's own kind of loader, in order."""
    return SimpleDataLoader(Pairs(inputs, labels), batch_size=batch_size)


def shuffled_loader(inputs, labels, batch_size):
    """Return a loader that shuffles."""
    return SimpleDataLoader(Pairs(inputs, labels), batch_size=batch_size, shuffle=True)
