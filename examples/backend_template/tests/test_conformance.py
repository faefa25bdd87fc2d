"""The suite that every backend passes, with the models and datasets of shelf_arrays."""

from typing import ClassVar

import numpy as np
import shelf_arrays

from probly.data_generator.testing import BackendConformance


class CNN(shelf_arrays.Module):
    def __init__(self, weights):
        self.kernel, self.kernel_bias, self.dense, self.dense_bias = map(shelf_arrays.Array, weights)

    def __call__(self, images):
        height, width = images.shape[1] - 2, images.shape[2] - 2
        features = self.kernel_bias
        for row in range(3):
            for column in range(3):
                part = images[:, row : row + height, column : column + width]
                features = part @ self.kernel[row, column] + features
        return features.positive().reshape(len(images), -1) @ self.dense + self.dense_bias


class Bayesian(shelf_arrays.Module):
    def __init__(self, mu, rho):
        self.weight_mu, self.weight_rho = shelf_arrays.Array(mu), shelf_arrays.Array(rho)


class TestShelf(BackendConformance):
    backend = "shelf"
    device = "upper"
    framework_modules = ("shelf_arrays",)
    expected_failures: ClassVar = {
        "test_bfloat16_is_upcast": "its dtypes are NumPy's: https://numpy.org/doc/stable/user/basics.types.html"
    }

    def mlp(self, weights):
        return shelf_arrays.MLP(*weights)

    def cnn(self, weights):
        return CNN(weights)

    def bayesian(self, mu, rho):
        return Bayesian(mu, rho)

    def array(self, values):
        return shelf_arrays.Array(values)

    def dataset(self, inputs, labels):
        return [(shelf_arrays.Array(value), label) for value, label in zip(inputs, labels, strict=True)]

    def model_state(self, model):
        return [(name, array.shelf, np.array(array)) for name, array in sorted(model.arrays().items())]
