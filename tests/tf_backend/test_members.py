"""Members of Keras models: passes with what is random active and all else in inference mode."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import InvalidOutputError
from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator
from tests.tf_backend.mlp import INPUTS, Module, keras_model, logits

layers = keras.layers


def run(model, inputs=INPUTS, *, keep=(), **options):
    generator = FirstOrderDataGenerator(model, **{"batch_size": 16, "output_mode": "logits", **options})
    return generator.generate_distributions(inputs, progress=False, keep=keep)


def normed():
    """Return a model with a batch normalisation that has learned something, between two dropouts."""
    norm = layers.BatchNormalization(name="norm")
    model = keras.Sequential(
        [layers.Input((5,)), layers.Dropout(0.25, name="first"), norm, layers.Dropout(0.5), layers.Dense(3)]
    )
    norm.set_weights([np.full(5, value, np.float32) for value in (2.0, 0.5, 0.25, 4.0)])
    return model


def values(model):
    return [variable.numpy() for variable in model.variables]  # the states of its random generators included


def test_passes_differ_and_two_runs_with_one_seed_agree_bit_for_bit():
    model = normed()
    first, again = (run(model, passes=5, seed=3).members for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (50, 5, 3)
    assert len(np.unique(first[0, :, 0])) == 5
    assert not np.array_equal(first, run(model, passes=5, seed=4).members)
    part = run(model, INPUTS[:32], passes=2, seed=3).members
    np.testing.assert_array_equal(part, first[:32, :2])


def test_another_model_of_the_same_weights_draws_the_same():
    model, other = normed(), normed()
    other.set_weights(model.get_weights())
    other(INPUTS, training=True)  # its generators are somewhere else now
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(run(model, passes=2).members, run(other, passes=2).members)


def drawn_after(function):
    """Return the next number of everybody's generator."""
    keras.utils.set_random_seed(5)
    keras.random.normal(())  # Keras makes its own when it is needed first
    function()
    numpy_s = np.random.random()  # noqa: NPY002  # the state that is not to change
    return [random.random(), numpy_s, float(tf.random.uniform(())), float(keras.random.normal(()))]


def test_nothing_of_the_model_or_of_anybodys_random_state_changes():
    model = normed()
    before, calls = values(model), [layer.call for layer in model._flatten_layers()]
    expected = drawn_after(lambda: None)
    assert drawn_after(lambda: run(model, passes=3)) == expected
    for value, now in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(value, now)
    assert [layer.call for layer in model._flatten_layers()] == calls
    np.testing.assert_array_equal(run(model).probabilities, run(model).probabilities)


def test_dropout_drops_at_its_rate_and_all_else_is_as_in_inference():
    model = normed()
    ones = np.ones((40, 5), np.float32)
    found = run(model, ones, passes=100, keep=["features:first", "features:norm"])
    dropped = found.columns["features:first"]
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    share = (dropped == 0).mean()
    assert abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / dropped.size)
    gamma, beta, mean, variance = 2.0, 0.5, 0.25, 4.0
    expected = (dropped - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(found.columns["features:norm"], expected, rtol=1e-5)


def test_a_linear_model_after_dropout_has_its_mean_and_variance():
    model = keras.Sequential([layers.Input((5,)), layers.Dropout(0.4), layers.Dense(3, use_bias=False)])
    inputs = np.repeat(INPUTS[:4], 250, axis=0)
    drawn = run(model, inputs, passes=8, batch_size=1000, keep=["logits"]).columns["logits"].reshape(4, 2000, 3)
    kernel = model.get_weights()[0]
    variance = (INPUTS[:4] ** 2) @ kernel**2 * 0.4 / 0.6
    assert (abs(drawn.mean(axis=1) - INPUTS[:4] @ kernel) < 5 * np.sqrt(variance / 2000)).all()
    np.testing.assert_allclose(drawn.var(axis=1), variance, rtol=0.25)


def test_two_layers_draw_different_masks():
    inputs = layers.Input((64,))
    left, right = layers.Dropout(0.5, seed=1, name="left"), layers.Dropout(0.5, seed=1, name="right")
    model = keras.Model(inputs, layers.Dense(2)(left(inputs) + right(inputs)))
    columns = run(model, np.ones((20, 64), np.float32), passes=2, keep=["features:left", "features:right"]).columns
    same = (columns["features:left"] == columns["features:right"]).mean()
    assert abs(same - 0.5) < 0.1


# Of many kinds


class Own(keras.Model):
    """Passes its switch on by hand, answers with more in training, and learns there."""

    def __init__(self):
        super().__init__()
        self.norm, self.dropout = layers.BatchNormalization(), layers.Dropout(0.5)
        self.heads = [layers.Dense(3)]

    def call(self, inputs, training=False):
        hidden = self.dropout(self.norm(inputs, training=training), training=training)
        return self.heads[0](hidden) + (1000.0 if training else 0.0)


class Sampled(layers.Layer):
    """Draws its weights anew each time, and has a normalisation inside of it."""

    def __init__(self):
        super().__init__()
        self.seeds, self.norm = [keras.random.SeedGenerator(0)], layers.BatchNormalization()

    def call(self, inputs, training=False):
        return self.norm(inputs, training=training) @ keras.random.normal((5, 3), seed=self.seeds[0])


class Unseeded(layers.Layer):
    """Draws from Keras's own generator."""

    def call(self, inputs):
        return inputs[:, :3] + keras.random.normal((3,))


class Path(layers.Layer):
    """Drops whole rows in training, from Keras's own generator; a custom layer as many write it."""

    def call(self, inputs, training=False):
        return inputs * keras.ops.round(keras.random.uniform((inputs.shape[1],))) if training else inputs


class TensorPath(layers.Layer):
    """Likewise, from TensorFlow's, which follows no seed."""

    def call(self, inputs, training=False):
        return tf.nn.dropout(inputs, 0.5) if training else inputs


def own():
    model = Own()
    model(INPUTS)
    return model


def recurrent(kind, **options):
    return keras.Sequential([layers.Input((5,)), layers.Reshape((5, 1)), kind(3, dropout=0.5, **options)])


def attention():
    inputs = layers.Input((5,))
    rows = layers.Reshape((5, 1))(inputs)
    attended = layers.MultiHeadAttention(2, 3, dropout=0.5)(rows, rows)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(attended)))


KINDS = {
    "subclass": own,
    "sampled weights": lambda: keras.Sequential([layers.Input((5,)), Sampled()]),
    "noise": lambda: keras.Sequential([layers.Input((5,)), layers.GaussianNoise(1.0), layers.Dense(3)]),
    "nested": lambda: keras.Sequential([layers.Input((5,)), normed(), layers.Dense(3)]),
    "LSTM": lambda: recurrent(layers.LSTM),
    "GRU": lambda: recurrent(layers.GRU, recurrent_dropout=0.5),
    "attention": attention,
    "own dropout": lambda: keras.Sequential([layers.Input((5,)), Path(), layers.Dense(3)]),
    "without a seed": lambda: keras.Sequential([layers.Input((5,)), Unseeded()]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_keras_draws_follows_the_seed(kind):
    model = KINDS[kind]()
    before = values(model)
    first, again = (run(model, INPUTS[:8], passes=3, keep=["logits"]) for _ in range(2))
    np.testing.assert_array_equal(first.members, again.members)
    drawn = first.columns["logits"]
    assert not np.array_equal(drawn[:, 0], drawn[:, 1])
    assert abs(drawn).max() < 1000
    for value, now in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(value, now)


def test_a_cell_drops_the_inputs_at_its_rate():
    cell = layers.SimpleRNN(1, activation=None, use_bias=False, dropout=0.25)
    model = keras.Sequential([layers.Input((1, 40)), cell])
    cell.set_weights([np.ones((40, 1)), np.zeros((1, 1))])
    drawn = run(model, np.ones((50, 1, 40), np.float32), passes=20, keep=["logits"], output_mode="logits").columns
    kept = drawn["logits"][..., 1] * 0.75 / 40
    assert abs(kept.mean() - 0.75) < 5 * np.sqrt(0.25 * 0.75 / (50 * 20 * 40))


def test_the_model_is_traced_once_for_all_seeds():
    traced = []

    class Noting(layers.Layer):
        def call(self, inputs):
            traced.append(inputs.shape)
            return inputs

    model = keras.Sequential([layers.Input((5,)), Noting(), layers.Dropout(0.5), layers.Dense(3)])
    traced.clear()
    run(model, passes=4)
    assert len(traced) == 1


def test_a_function_that_the_user_compiled_is_left_as_it_was():
    class Compiled(Own):
        call = tf.function(Own.call)

    model = Compiled()
    model(INPUTS)
    expected = model(INPUTS, training=False)
    first = run(model, passes=3, keep=["logits"]).columns["logits"]
    assert not np.array_equal(first[:, 0], first[:, 1])
    np.testing.assert_array_equal(model(INPUTS, training=False), expected)
    np.testing.assert_array_equal(model(tf.constant(INPUTS[:7]), training=False), expected[:7])
    assert not tf.config.functions_run_eagerly()


def test_the_generator_of_keras_itself_is_given_back():
    model = KINDS["without a seed"]()
    assert drawn_after(lambda: run(model, passes=3)) == drawn_after(lambda: None)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # of Keras
@pytest.mark.parametrize("how", ["xla", "file", "eager", "transform"])
def test_passes_in_other_ways(how, tmp_path):
    model, options = keras_model(), {"passes": 3}
    expected = run(model, **options).members
    if how == "xla":
        options["options"] = {"xla": True}
    if how == "file":
        model.save(tmp_path / "model.keras")
        model = tmp_path / "model.keras"
    if how == "eager":
        model.compile(run_eagerly=True)
    if how == "transform":
        options |= {"output_transform": tf.nn.softmax, "output_mode": "auto"}
    found = run(model, **options).members
    np.testing.assert_allclose(found, run(model, **options).members, rtol=0, atol=0)
    if how != "xla":  # which has generators of its own
        np.testing.assert_allclose(found, expected, atol=1e-6)


# What is refused


class Tensors(layers.Layer):
    """Draws from TensorFlow's own generator."""

    def call(self, inputs):
        return inputs[:, :3] + tf.random.normal((3,))


def stateful():
    return keras.Sequential([layers.Input((2, 1), batch_size=4), layers.LSTM(2, stateful=True, dropout=0.5)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: logits, "only the layers of a model of Keras 3 .* got a builtins.function.* set members=True"),
        (lambda: tf.function(logits), "only the layers of a model of Keras 3"),
        (Module, "got a tests.tf_backend.mlp.Module, whose layers nobody sees; pass the Keras model itself"),
        (lambda: keras.Sequential([layers.Input((5,)), Tensors()]), "follow no seed .RandomStandardNormal.; draw them"),
        (
            lambda: keras.Sequential([layers.Input((5,)), TensorPath()]),
            "follow no seed .RandomUniform.; draw them with",
        ),
        (stateful, "the layer 'lstm.*' is stateful"),
    ],
    ids=["function", "tf.function", "tf.Module", "unseeded", "unseeded dropout", "stateful"],
)
def test_what_cannot_follow_a_seed_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        run(make(), np.zeros((4, 2, 1), np.float32) if make is stateful else INPUTS, passes=2)


def test_a_saved_model_is_refused(tmp_path):
    keras_model().export(str(tmp_path / "saved"), verbose=False)
    with pytest.raises(ValueError, match="got a SavedModel, whose layers nobody sees; pass the Keras model itself or"):
        run(str(tmp_path / "saved"), passes=2, options={"trust": True})


def test_a_model_on_several_replicas_is_refused():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = keras_model()
    with pytest.raises(ValueError, match="passes: not with a strategy; build or load the model outside of"):
        run(model, passes=2)


def test_a_model_that_draws_nothing_is_refused():
    model = keras.Sequential([layers.Input((5,)), layers.Dense(3)])
    with pytest.raises(InvalidOutputError, match="all 2 passes gave the same scores"):
        run(model, passes=2)
