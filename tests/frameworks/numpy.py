"""The suite on the agnostic backend: all that a framework's author writes to run it."""

import numpy as np

from probly.data_generator.testing import BackendConformance


class MLP:
    """A model as an object, whose weights can be seen."""

    def __init__(self, weights):
        self.weights = weights

    def __call__(self, inputs):
        hidden = np.maximum(inputs @ self.weights.first + self.weights.first_bias, 0)
        return hidden @ self.weights.second + self.weights.second_bias


class Bayesian:
    """A layer with a normal posterior."""

    def __init__(self, mu, rho):
        self.weight_mu, self.weight_rho = mu, rho

    def __call__(self, inputs):
        return inputs @ self.weight_mu


class Pairs:
    """A per-item dataset."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = inputs, labels

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


class TestNumpy(BackendConformance):
    backend = "numpy"
    cannot = frozenset({"bfloat16"})

    def mlp(self, weights):
        return MLP(weights)

    def cnn(self, weights):
        def model(images):
            height, width = images.shape[1] - 2, images.shape[2] - 2
            features = weights.kernel_bias + sum(
                images[:, row : row + height, column : column + width] @ weights.kernel[row, column]
                for row in range(3)
                for column in range(3)
            )
            return np.maximum(features, 0).reshape(len(images), -1) @ weights.dense + weights.dense_bias

        return model

    def bayesian(self, mu, rho):
        return Bayesian(mu, rho)

    def dataset(self, inputs, labels):
        return Pairs(inputs, labels)

    def model_state(self, model):
        return list(model.weights)
