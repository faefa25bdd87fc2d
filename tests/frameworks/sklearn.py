"""The suite on scikit-learn, and the estimators that its own tests share with it."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelBinarizer

from probly.data_generator.testing import BackendConformance


class Convolution(TransformerMixin, BaseEstimator):
    """A 3x3 convolution over NHWC images, relu, and its features in one row."""

    def __init__(self, kernel, bias):
        self.kernel = kernel
        self.bias = bias

    def fit(self, images, labels=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, images):
        height, width = images.shape[1] - 2, images.shape[2] - 2
        features = self.bias + sum(
            images[:, row : row + height, column : column + width] @ self.kernel[row, column]
            for row in range(3)
            for column in range(3)
        )
        return np.maximum(features, 0).reshape(len(images), -1)


class Identity(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are its probabilities."""

    def __init__(self, step=1):
        self.step = step

    def fit(self, inputs, labels):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, inputs):
        return inputs[:: self.step]


class Bayesian(Identity):
    """A linear classifier with a normal posterior."""

    def __init__(self, mu, rho):
        self.coef_mu_, self.coef_rho_ = mu, rho

    def predict_proba(self, inputs):
        raise NotImplementedError


class Pairs:
    """A per-item dataset."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = inputs, labels

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


def linear(weights, bias):
    """Return a LogisticRegression that was fitted to these weights."""
    model = LogisticRegression()
    model.coef_, model.intercept_ = weights.T.astype(np.float64), bias.astype(np.float64)
    model.classes_, model.n_features_in_ = np.arange(len(bias)), len(weights)
    return model


class TestSklearn(BackendConformance):
    backend = "sklearn"
    framework_modules = ("sklearn",)
    cannot = frozenset({"logits", "bfloat16"})

    def mlp(self, weights):
        model = MLPClassifier(len(weights.first_bias))
        layers = [(weights.first, weights.first_bias), (weights.second, weights.second_bias)]
        model.coefs_ = [matrix.astype(np.float64) for matrix, _ in layers]
        model.intercepts_ = [bias.astype(np.float64) for _, bias in layers]
        model.n_layers_, model.out_activation_ = 3, "softmax"
        model.n_features_in_, model.n_outputs_ = weights.first.shape[0], weights.second.shape[1]
        model.classes_ = np.arange(model.n_outputs_)
        model._label_binarizer = LabelBinarizer().fit(model.classes_)
        return model

    def cnn(self, weights):
        return make_pipeline(
            Convolution(weights.kernel, weights.kernel_bias), linear(weights.dense, weights.dense_bias)
        )

    def identity(self, example):
        return Identity()

    def every_second_row(self, example):
        return Identity(step=2)

    def bayesian(self, mu, rho):
        return Bayesian(mu, rho)

    def dataset(self, inputs, labels):
        return Pairs(inputs, labels)

    def model_state(self, model):
        return {
            "weights": model.coefs_ + model.intercepts_,
            "parameters": repr(model.get_params()),
            "attributes": sorted(vars(model)),
            "random": np.random.get_state()[1],  # noqa: NPY002  # scikit-learn draws from it where nothing is given
        }
