"""Closed-form NumPy: the weights every framework gets, and what its model must return."""

from typing import NamedTuple

import numpy as np


class MLPWeights(NamedTuple):
    """x -> relu(x @ first + first_bias) @ second + second_bias."""

    first: np.ndarray  # (features, hidden)
    first_bias: np.ndarray
    second: np.ndarray  # (hidden, classes)
    second_bias: np.ndarray


class CNNWeights(NamedTuple):
    """3x3 convolution without padding over NHWC images, relu, flatten in NHWC order, dense."""

    kernel: np.ndarray  # (3, 3, channels in, channels out)
    kernel_bias: np.ndarray
    dense: np.ndarray  # (height - 2) * (width - 2) * channels out, classes
    dense_bias: np.ndarray


def mlp_weights(features=5, hidden=16, classes=3, seed=0):
    """Return random float32 weights."""
    draw = _normals(seed)
    return MLPWeights(draw(features, hidden), draw(hidden), draw(hidden, classes), draw(classes))


def cnn_weights(side=8, channels=1, filters=4, classes=3, seed=0):
    """Return random float32 weights for square images."""
    draw = _normals(seed)
    pixels = (side - 2) * (side - 2) * filters
    return CNNWeights(draw(3, 3, channels, filters), draw(filters), draw(pixels, classes) / 4, draw(classes))


def _normals(seed):
    random = np.random.default_rng(seed)
    return lambda *shape: (random.normal(size=shape) / 2).astype(np.float32)


def samples(rows=50, shape=(5,), classes=3, seed=1):
    """Return random float32 inputs of shape (rows, *shape) and int64 labels."""
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, *shape)).astype(np.float32), random.integers(0, classes, rows)


def softmax(logits):
    """exp(z - max z) / sum exp(z - max z) in float64."""
    logits = np.asarray(logits, np.float64)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def mlp_logits(weights, inputs):
    """Compute the MLP in float64."""
    first, first_bias, second, second_bias = (np.asarray(part, np.float64) for part in weights)
    return np.maximum(np.asarray(inputs, np.float64) @ first + first_bias, 0) @ second + second_bias


def cnn_logits(weights, images):
    """Compute the CNN in float64, the convolution as a sum over the kernel's 9 positions."""
    kernel, kernel_bias, dense, dense_bias = (np.asarray(part, np.float64) for part in weights)
    images = np.asarray(images, np.float64)
    height, width = images.shape[1] - 2, images.shape[2] - 2
    features = sum(
        images[:, row : row + height, column : column + width] @ kernel[row, column]
        for row in range(3)
        for column in range(3)
    )
    return np.maximum(features + kernel_bias, 0).reshape(len(images), -1) @ dense + dense_bias
