"""Closed-form NumPy: the weights every framework gets, and what its model must return."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Exact = npt.NDArray[np.float64]


class MLPWeights(NamedTuple):
    """``x -> relu(x @ first + first_bias) @ second + second_bias``.

    Attributes:
        first: Shape ``(features, hidden)``.
        first_bias: Shape ``(hidden,)``.
        second: Shape ``(hidden, classes)``.
        second_bias: Shape ``(classes,)``.
    """

    first: FloatArray
    first_bias: FloatArray
    second: FloatArray
    second_bias: FloatArray


class CNNWeights(NamedTuple):
    """A 3x3 convolution without padding over NHWC images, relu, flatten in NHWC order, dense.

    Attributes:
        kernel: Shape ``(3, 3, channels, filters)``.
        kernel_bias: Shape ``(filters,)``.
        dense: Shape ``((height - 2) * (width - 2) * filters, classes)``.
        dense_bias: Shape ``(classes,)``.
    """

    kernel: FloatArray
    kernel_bias: FloatArray
    dense: FloatArray
    dense_bias: FloatArray


class Classifier(NamedTuple):
    """A model with inputs and the rows that must come of them.

    Attributes:
        model: A live model of the framework.
        inputs: A NumPy array of at least 20 rows.
        expected: Shape ``(rows, classes)``: by the closed form of the model, or by the framework's own prediction.
    """

    model: Any
    inputs: Any
    expected: Any


def mlp_weights(features: int = 5, hidden: int = 16, classes: int = 3, seed: int = 0) -> MLPWeights:
    """Return random weights."""
    draw = _normals(seed)
    return MLPWeights(draw(features, hidden), draw(hidden), draw(hidden, classes), draw(classes))


def cnn_weights(side: int = 8, channels: int = 1, filters: int = 4, classes: int = 3, seed: int = 0) -> CNNWeights:
    """Return random weights for square images."""
    draw = _normals(seed)
    pixels = (side - 2) * (side - 2) * filters
    return CNNWeights(
        draw(3, 3, channels, filters), draw(filters), draw(pixels, classes) / np.float32(4), draw(classes)
    )


def _normals(seed: int) -> Callable[..., FloatArray]:
    random = np.random.default_rng(seed)
    return lambda *shape: (random.normal(size=shape) / 2).astype(np.float32)


def samples(
    rows: int = 50, shape: tuple[int, ...] = (5,), classes: int = 3, seed: int = 1
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return random inputs of shape ``(rows, *shape)`` and labels of shape ``(rows,)``."""
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, *shape)).astype(np.float32), random.integers(0, classes, rows)


def softmax(logits: npt.ArrayLike) -> Exact:
    """Return ``exp(z - max z) / sum exp(z - max z)`` over the last axis, in float64."""
    exact = np.asarray(logits, np.float64)
    exponentials = np.exp(exact - exact.max(axis=-1, keepdims=True))
    rows: Exact = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return rows


def bfloat16(values: npt.ArrayLike) -> FloatArray:
    """Round to bfloat16, the upper half of a float32, to nearest and ties to even; NumPy itself has no such dtype.

    Args:
        values: Finite numbers of any shape.

    Examples:
        >>> bfloat16([1.0, 1.0 + 2.0**-8, 1.0 + 2.0**-8 + 2.0**-16]).tolist()
        [1.0, 1.0, 1.0078125]
    """
    bits = np.asarray(values, np.float32).view(np.uint32)
    rounded: FloatArray = ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
    return rounded


def mlp_logits(weights: MLPWeights, inputs: npt.ArrayLike) -> Exact:
    """Compute the MLP in float64."""
    first, first_bias, second, second_bias = (np.asarray(part, np.float64) for part in weights)
    logits: Exact = np.maximum(np.asarray(inputs, np.float64) @ first + first_bias, 0) @ second + second_bias
    return logits


def cnn_logits(weights: CNNWeights, images: npt.ArrayLike) -> Exact:
    """Compute the CNN in float64, the convolution as a sum over the kernel's 9 positions."""
    kernel, kernel_bias, dense, dense_bias = (np.asarray(part, np.float64) for part in weights)
    exact = np.asarray(images, np.float64)
    height, width = exact.shape[1] - 2, exact.shape[2] - 2
    features: Any = kernel_bias
    for row in range(3):
        for column in range(3):
            features = features + exact[:, row : row + height, column : column + width] @ kernel[row, column]
    logits: Exact = np.maximum(features, 0).reshape(len(exact), -1) @ dense + dense_bias
    return logits
