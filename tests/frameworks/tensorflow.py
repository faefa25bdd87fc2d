"""What the shared tests need from TensorFlow: Keras models with given weights, and datasets."""

import keras
import tensorflow as tf

NAME = "tensorflow"
MODULES = ("tensorflow", "keras")


def mlp(weights):
    """Return the MLP of these weights, with a dropout that must stay off."""
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


def cnn(weights):
    """Return the CNN of these weights; Keras reads NHWC too, and flattens in this order."""
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


def function(callable_on_arrays):
    """Return a model from a function of the framework's own arrays, outside any compilation."""

    def model(inputs):
        return callable_on_arrays(inputs)

    model.run_eagerly = True
    return model


def array(values):
    """Return the framework's array."""
    return tf.constant(values)


def dataset(inputs, labels):
    """Return the framework's own kind of dataset: a tf.data pipeline of samples."""
    return tf.data.Dataset.from_tensor_slices((inputs, labels))


def loader(inputs, labels, batch_size):
    """Return the framework's own kind of loader, in order: a tf.data pipeline of batches."""
    return dataset(inputs, labels).batch(batch_size)


def shuffled_loader(inputs, labels, batch_size):
    """Return a pipeline that shuffles, and cannot tell its indices."""
    return dataset(inputs, labels).shuffle(len(labels)).batch(batch_size)


def out_of_memory():
    """Return the error that TensorFlow raises when a device's memory does not suffice."""
    return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[8,4]")
