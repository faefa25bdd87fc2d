"""The MLP of the reference in the forms that TensorFlow knows, its inputs, and the rows that it must give."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference

WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))
HOOK = load_backend(find_backend("tensorflow")).hook


def samples():
    """Return a pipeline of samples."""
    return tf.data.Dataset.from_tensor_slices((INPUTS, LABELS))


def run(model, dataset, **options):
    """Return the distributions of one run in batches of 16: four for the 50 inputs, the last one of 2 rows."""
    generator = FirstOrderDataGenerator(model, **{"batch_size": 16, **options})
    return generator.generate_distributions(dataset, progress=False)


def check(distributions, expected=EXPECTED):
    """Check that rows are what they should be, in order."""
    np.testing.assert_array_equal(distributions.indices, np.arange(len(expected)))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)


def digest(model, options=None):
    """Return the digest of a model's weights."""
    return HOOK.weight_digest(model=HOOK.load_model(source=model, device=None, options=options or {}))


def logits(inputs):
    """Return the MLP in TensorFlow operations, without Keras."""
    hidden = tf.nn.relu(inputs @ WEIGHTS.first + WEIGHTS.first_bias)
    return hidden @ WEIGHTS.second + WEIGHTS.second_bias


def keras_model(weights=WEIGHTS):
    """Return the MLP in Keras, with a dropout."""
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((5,)), layers.Dense(16, activation="relu"), layers.Dropout(0.5), layers.Dense(3)]
    )
    model.set_weights(list(weights))
    return model


class Module(tf.Module):
    """The MLP as a tf.Module."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(WEIGHTS.second)

    @tf.function(input_signature=[tf.TensorSpec([None, 5])])
    def __call__(self, x):
        return tf.nn.relu(x @ WEIGHTS.first + WEIGHTS.first_bias) @ self.kernel + WEIGHTS.second_bias


@keras.saving.register_keras_serializable("probly_tests")
class Subclassed(keras.Model):
    """The MLP as a subclass, without declared inputs."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.first, self.second = keras.layers.Dense(16, activation="relu"), keras.layers.Dense(3)

    def call(self, inputs):
        return self.second(self.first(inputs))


def built_subclass():
    """Return one that has seen inputs."""
    model = Subclassed()
    model(INPUTS[:4])
    model.set_weights(list(WEIGHTS))
    return model


def python(code, **environment):
    """Run a script with warnings as errors, and return what it printed; TensorFlow takes seconds to start."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()
