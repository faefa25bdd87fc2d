"""What changes a model of Keras or TensorFlow: each change is refused by a store, what changes nothing is not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import StoreError
from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator
from tests.tf_backend.mlp import INPUTS, digest, keras_model

SIZE = INPUTS.shape[1]


def stream(model, path):
    """Return the distributions of one run that streams to a store."""
    made = FirstOrderDataGenerator(model, batch_size=16, output_mode="logits")
    return made.generate_distributions(INPUTS, progress=False, out=path)


layers = keras.layers


def sequential(seed=0, activation="relu", scale=1.0, own=None, noise=0.1):
    keras.utils.set_random_seed(seed)
    own = own or (lambda rows: rows * 2.0)
    return keras.Sequential([
        layers.Input((SIZE,)), layers.Dense(4, activation), layers.GaussianNoise(noise), layers.Rescaling(scale),
        layers.Lambda(own), layers.Dense(3),
    ])  # fmt: skip


def normalised(mean=0.0):
    keras.utils.set_random_seed(0)
    first = layers.Normalization()
    first.adapt(INPUTS + np.float32(mean))
    return keras.Sequential([layers.Input((SIZE,)), first, layers.Dense(3)])


class Own(keras.Model):
    def __init__(self, temperature=1.0, activation=tf.nn.relu, order=(0, 1, 2)):
        super().__init__()
        self.temperature, self.activation, self.order = temperature, activation, list(order)
        self.dense = layers.Dense(3, kernel_initializer="ones", bias_initializer=keras.initializers.Constant([1, 2, 3]))
        self(INPUTS[:1])

    def call(self, rows):
        return tf.gather(self.activation(self.dense(rows)), self.order, axis=1) / self.temperature


class Plain(tf.Module):
    def __init__(self, weight=1.0, temperature=1.0, constant=0.0):
        super().__init__()
        self.parts = [tf.Variable(tf.fill((SIZE, 3), weight))]
        self.temperature, self.constant = temperature, tf.constant([constant, 0.0, 1.0])

    def __call__(self, rows):
        return (rows @ self.parts[0] + self.constant) / self.temperature


def function(weight=1.0):
    constant = tf.constant(weight)
    return tf.function(lambda rows: tf.tensordot(rows, tf.fill((SIZE, 3), 1.0), 1) * constant * [1.0, 2.0, 3.0])


def with_operations(by=2.0, after=keras.ops.tanh):
    """Return a model with operations between its layers, which are no layers."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE,))
    return keras.Model(inputs, after(layers.Dense(3)(inputs) * by))


def graph(weight=1.0, by=2.0):
    """Return one graph without the Python that it was made of; it calls another one, by a counted name."""
    inner = tf.function(lambda rows: rows * tf.constant([1.0, 2.0, by]))
    variable = tf.Variable(tf.fill((SIZE, 3), weight))
    made = tf.function(lambda rows: inner(rows @ variable)).get_concrete_function(tf.TensorSpec([None, SIZE]))
    made.kept = variable
    return made


def frozen(weight=1.0, by=2.0):
    """Return a graph in which variables are constants."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    constants = convert_variables_to_constants_v2(graph(weight, by))
    return lambda rows: constants(rows)[0]


CHANGES = {
    "a Sequential": (sequential, [
        {"seed": 1}, {"activation": "tanh"}, {"scale": 2.0}, {"own": lambda rows: rows * 3.0},
        {"activation": lambda rows: rows * 0.5},
    ]),
    "a preprocessing layer": (normalised, [{"mean": 1.0}]),
    "a model of one's own": (Own, [{"temperature": 2.0}, {"activation": tf.nn.sigmoid}, {"order": (2, 1, 0)}]),
    "a tf.Module": (Plain, [{"weight": 2.0}, {"temperature": 2.0}, {"constant": 1.0}]),
    "a tf.function": (function, [{"weight": 2.0}]),
    "operations between layers": (with_operations, [{"by": 3.0}, {"after": keras.ops.sigmoid}]),
    "a graph": (graph, [{"weight": 2.0}, {"by": 3.0}]),
    "a frozen graph": (frozen, [{"weight": 2.0}, {"by": 3.0}]),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_model_is_refused(tmp_path, kind):
    make, changes = CHANGES[kind]
    for _ in range(2):
        stream(make(), tmp_path / "a.fod")
    for change in changes:
        with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
            stream(make(**change), tmp_path / "a.fod")


def lookup(words):
    return keras.Sequential([layers.StringLookup(vocabulary=words)])


def adapted(kind, data, **settings):
    layer = kind(**settings)
    layer.adapt(data)
    return keras.Sequential([layer])


def test_vocabularies_and_boundaries_count():
    numbers = np.arange(9.0)[:, None]
    models = [
        lookup(["sun", "rain"]), lookup(["rain", "sun"]),
        adapted(layers.TextVectorization, ["sun and rain"]), adapted(layers.TextVectorization, ["sun and snow"]),
        adapted(layers.Discretization, numbers, num_bins=3), adapted(layers.Discretization, numbers**2, num_bins=3),
    ]  # fmt: skip
    assert len({digest(model) for model in models}) == len(models)
    assert digest(lookup(["sun", "rain"])) == digest(models[0])


def test_using_and_compiling_a_model_change_nothing():
    model, first = sequential(), digest(sequential())
    model.compile("adam", "mse")
    model.predict(INPUTS, verbose=0)
    assert digest(model) == first
    called = function()
    called(INPUTS)
    assert digest(called) == digest(function())


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # of Keras
def test_a_model_of_a_file_is_the_live_one(tmp_path):
    keras_model().save(tmp_path / "model.keras")
    assert digest(tmp_path / "model.keras") == digest(keras_model())
