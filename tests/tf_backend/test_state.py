"""A model that keeps a state from batch to batch begins each run with the same, and has it back afterwards."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.store import Store

INPUTS = np.random.default_rng(0).normal(size=(12, 5, 3)).astype(np.float32)


def recurrent(layer=keras.layers.LSTM, rows=4):
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input(batch_shape=(rows, 5, 3)), layer(6, stateful=True)])
    inputs = keras.Input(batch_shape=(rows, 5, 3))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(inner(inputs)))


def eager():
    model = recurrent()
    model.compile(run_eagerly=True)
    return model


class Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.state, self.steps = tf.Variable(tf.zeros(3)), tf.Variable(0)

    def __call__(self, inputs):
        self.steps.assign_add(1)
        self.state.assign(0.5 * self.state + tf.reduce_mean(inputs, [0, 1]))
        return tf.nn.softmax(inputs[:, 0] + self.state)


def function():
    module = Module()
    return lambda inputs: module(inputs)  # noqa: PLW0108  # its variable is seen in the graph only


def states(model):
    layers = model._flatten_layers() if isinstance(model, keras.Model) else ()
    found = [state for layer in layers if getattr(layer, "stateful", False) for state in tf.nest.flatten(layer.states)]
    return [tf.convert_to_tensor(state).numpy() for state in (*found, *getattr(model, "variables", ()))]


def run(model, inputs=INPUTS, **options):
    generator = FirstOrderDataGenerator(model, batch_size=4, output_mode="probs", backend="tensorflow", **options)
    return generator.generate_distributions(inputs, progress=False).probabilities


MODELS = {
    "lstm": recurrent,
    "gru": lambda: recurrent(keras.layers.GRU),
    "eager": eager,
    "module": Module,
    "function": function,
}


@pytest.mark.parametrize("kind", MODELS)
def test_each_run_begins_with_the_same_state_and_gives_it_back(kind):
    model = MODELS[kind]()
    before = states(model)
    rows = [run(model), run(model)]
    for one, other in zip(before, states(model), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(rows[0], rows[1])
    call = model if kind in ("module", "function") else lambda part: model(part, training=False)
    expected = np.concatenate([call(INPUTS[start : start + 4]).numpy() for start in (0, 4, 8)])
    np.testing.assert_allclose(rows[0], expected, atol=1e-6)


def test_the_state_is_given_back_after_an_error():
    model = Module()
    with pytest.raises(ZeroDivisionError):
        run(model, output_transform=lambda outputs: 1 // 0)
    assert not model.state.numpy().any()


def test_the_last_batch_may_be_smaller_and_none_larger():
    model, whole = recurrent(), run(recurrent())
    np.testing.assert_allclose(run(model, INPUTS[:10]), whole[:10], atol=1e-6)
    transformed = run(model, INPUTS[:10], output_transform=lambda outputs: outputs)
    np.testing.assert_allclose(transformed, whole[:10], atol=1e-6)
    with pytest.raises(ValueError, match="built for batches of 3 rows, this one has 4; set batch_size=3"):
        run(recurrent(rows=3))


def test_a_run_of_a_stateful_model_is_not_continued_in_the_middle(tmp_path):
    model = recurrent()

    def fails(outputs, calls=[]):  # noqa: B006  # counts its calls
        calls.append(1)
        if len(calls) == 3:
            raise ZeroDivisionError
        return outputs

    generator = FirstOrderDataGenerator(model, batch_size=4, output_transform=fails)
    settings = {"progress": False, "out": tmp_path / "rows.fod", "shard_megabytes": 1e-9}
    with pytest.raises(ZeroDivisionError):
        generator.generate_distributions(INPUTS, **settings)
    with pytest.raises(ValueError, match=r"the layer 'lstm.*' is stateful: a row depends on the batches before it"):
        generator.generate_distributions(INPUTS, **settings)
    whole = generator.generate_distributions(INPUTS, **(settings | {"out": tmp_path / "whole.fod"}))
    assert isinstance(whole, Store)
