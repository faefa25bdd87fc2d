"""The variational parameters of Bayesian layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator
from tests.tf_backend.mlp import INPUTS


class BayesianDense(keras.layers.Layer):
    """A dense layer with a normal posterior."""

    def build(self, shape):
        self.kernel_mu = self.add_weight(shape=(shape[-1], 3), name="kernel_mu", initializer="ones")
        self.kernel_rho = self.add_weight(shape=(shape[-1], 3), name="kernel_rho", initializer="zeros")
        self.bias_mu = self.add_weight(shape=(3,), name="bias_mu", initializer="zeros")
        self.bias_rho = self.add_weight(shape=(3,), name="bias_rho", initializer="ones")

    def call(self, inputs):
        return inputs @ self.kernel_mu + self.bias_mu


def test_posterior_of_keras_layers():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4), BayesianDense(name="bayes")], name="net")
    posterior = FirstOrderDataGenerator(model).get_posterior_distributions()
    assert set(posterior) == {"bayes"}
    assert set(posterior["bayes"]) == {"mu", "rho", "bias_mu", "bias_rho"}
    assert tf.is_tensor(posterior["bayes"]["mu"])
    model.layers[1].kernel_mu.assign_add(np.ones((4, 3)))
    np.testing.assert_array_equal(posterior["bayes"]["mu"], np.ones((4, 3)))


def test_posterior_of_modules():
    class Layer(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight_mu, self.weight_rho = tf.Variable([1.0, 2.0]), tf.Variable([-3.0, -3.0])

        def __call__(self, inputs):
            return inputs

    class Net(Layer):
        def __init__(self):
            super().__init__()
            self.layers = [Layer(), Layer()]

    net = Net()
    posterior = FirstOrderDataGenerator(net).get_posterior_distributions()
    assert set(posterior) == {"model", "layers.0", "layers.1"}
    net.weight_mu.assign_add([1.0, 1.0])
    assert posterior["model"]["mu"].numpy().tolist() == [1, 2]


def test_posterior_refuses_names_that_occur_twice():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, BayesianDense(name="a")(inputs) + keras.Sequential([BayesianDense(name="a")])(inputs))
    names = [variable.path for variable in model.variables]
    assert len(set(names)) == len(names), "Keras tells these apart by their path"
    assert len(FirstOrderDataGenerator(model).get_posterior_distributions()) == 2

    class Same(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.left, self.right = BayesianDense(name="same"), BayesianDense(name="same")

        def call(self, inputs):
            return self.left(inputs) + self.right(inputs)

    model = Same()
    model(INPUTS[:1])
    with pytest.raises(ValueError, match=r"two variables are called 'same\.kernel_mu'"):
        FirstOrderDataGenerator(model).get_posterior_distributions()
