"""An invented framework, in the place of yours: its networks take NumPy arrays and return them."""

from pathlib import Path

import numpy as np


class Network:
    """Dense layers with relu between them; of images, a 3x3 convolution first."""

    def __init__(self, layers, kernel=None):
        self.layers, self.kernel = [tuple(map(np.array, layer)) for layer in layers], kernel

    def run(self, inputs):
        """Return the logits of a batch."""
        rows = inputs if self.kernel is None else self._convolved(inputs)
        for number, (weight, bias) in enumerate(self.layers):
            rows = (np.maximum(rows, 0) if number else rows) @ weight + bias
        return rows

    def _convolved(self, images):
        weight, bias = self.kernel
        height, width = images.shape[1] - 2, images.shape[2] - 2
        places = [(row, column) for row in range(3) for column in range(3)]
        parts = (images[:, row : row + height, column : column + width] @ weight[row, column] for row, column in places)
        return np.maximum(sum(parts) + bias, 0).reshape(len(images), -1)


def save(path, network):
    """Write a network of dense layers to a file, which ends in ``.abacus``."""
    with Path(path).open("wb") as file:
        np.savez(file, *[array for layer in network.layers for array in layer])


def load(path):
    """Read a network from a file; nothing in it is run."""
    with np.load(path, allow_pickle=False) as arrays:
        flat = [arrays[f"arr_{number}"] for number in range(len(arrays))]
    return Network(list(zip(flat[::2], flat[1::2], strict=True)))
