"""The suite on TensorFlow: Keras models and tf.data pipelines."""

import keras
import tensorflow as tf

from probly.data_generator.testing import BackendConformance


class Bayesian(keras.layers.Layer):
    """A layer with a normal posterior."""

    def __init__(self, mu, rho):
        super().__init__(name="bayesian")
        self.kernel_mu = self.add_weight(shape=mu.shape, name="kernel_mu")
        self.kernel_rho = self.add_weight(shape=rho.shape, name="kernel_rho")
        self.set_weights([mu, rho])

    def call(self, inputs):
        return inputs @ self.kernel_mu


class TestTensorflow(BackendConformance):
    backend = "tensorflow"
    framework_modules = ("tensorflow", "keras")

    def mlp(self, weights):
        features, hidden = weights.first.shape
        model = keras.Sequential(
            [
                keras.layers.Input((features,)),
                keras.layers.Dense(hidden, activation="relu"),
                keras.layers.Dropout(0.5),
                keras.layers.Dense(weights.second.shape[1]),
            ]
        )
        model.set_weights(list(weights))
        return model

    def cnn(self, weights):
        """Keras reads NHWC too, and flattens in this order."""
        filters = weights.kernel.shape[3]
        side = round((len(weights.dense) / filters) ** 0.5) + 2
        model = keras.Sequential(
            [
                keras.layers.Input((side, side, weights.kernel.shape[2])),
                keras.layers.Conv2D(filters, 3, activation="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(weights.dense.shape[1]),
            ]
        )
        model.set_weights(list(weights))
        return model

    def function(self, function):
        def model(inputs):
            return function(inputs)

        model.run_eagerly = True
        return model

    def bfloat16(self, example):
        return lambda batch: tf.cast(batch, tf.bfloat16)

    def bayesian(self, mu, rho):
        return keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(len(mu)), Bayesian(mu, rho)])

    def array(self, values):
        return tf.constant(values)

    def dataset(self, inputs, labels):
        return tf.data.Dataset.from_tensor_slices((inputs, labels))

    def loader(self, inputs, labels, batch_size):
        return self.dataset(inputs, labels).batch(batch_size)

    def shuffled_loader(self, inputs, labels, batch_size):
        """Shuffle a pipeline, which cannot tell its indices."""
        return self.dataset(inputs, labels).shuffle(len(labels)).batch(batch_size)

    def model_state(self, model):
        variables = model.variables  # the random states of its dropout included
        return {
            "variables": [variable.numpy() for variable in variables],
            "trainable": [variable.trainable for variable in variables],
            "eager": model.run_eagerly,
        }

    def out_of_memory(self):
        return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[8,4]")
