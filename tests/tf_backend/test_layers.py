"""Hidden layers of Keras models beside the rows: what the layers themselves return."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator
from tests.tf_backend.mlp import INPUTS, Subclassed, built_subclass, check, keras_model, logits

layers = keras.layers


def run(model, *keep, inputs=INPUTS, **options):
    generator = FirstOrderDataGenerator(model, **{"batch_size": 16, **options})
    return generator.generate_distributions(inputs, progress=False, keep=[f"features:{name}" for name in keep])


def of_submodel(model, name, inputs=INPUTS):
    """Return what Keras computes of a layer."""
    return keras.Model(model.inputs[0], model.get_layer(name).output)(inputs, training=False).numpy()


@pytest.mark.parametrize("options", [{}, {"options": {"xla": True}}, {"output_transform": tf.nn.softmax}])
def test_layers_are_what_a_submodel_of_keras_computes(options):
    model = keras_model()
    first, dropout, _ = (layer.name for layer in model.layers)
    found = run(model, first, dropout, **options)
    check(found)
    np.testing.assert_allclose(found.columns[f"features:{first}"], of_submodel(model, first), atol=1e-6)
    np.testing.assert_array_equal(found.columns[f"features:{first}"], found.columns[f"features:{dropout}"])


def test_an_eager_model_shows_its_layers():
    model = keras_model()
    model.compile(run_eagerly=True)
    name = model.layers[0].name
    np.testing.assert_allclose(run(model, name).columns[f"features:{name}"], of_submodel(model, name), atol=1e-6)


def test_layers_of_nested_models_stand_behind_the_name_of_theirs():
    inner = keras.Sequential([layers.Input((5,)), layers.Dense(4, name="dense")], name="inner")
    image = keras.Sequential([layers.Input((5,)), layers.Reshape((5, 1, 1)), layers.Conv2D(2, (2, 1), name="conv")])
    inputs = layers.Input((5,))
    joined = layers.Concatenate()([inner(inputs), layers.Flatten()(image(inputs))])
    model = keras.Model(inputs, layers.Dense(3, name="dense")(joined))
    found = run(model, "inner/dense", "dense", f"{image.name}/conv", output_mode="logits")
    np.testing.assert_allclose(found.columns["features:inner/dense"], inner(INPUTS), atol=1e-6)
    np.testing.assert_allclose(found.columns["features:dense"], model(INPUTS), atol=1e-6)
    assert found.columns[f"features:{image.name}/conv"].shape == (50, 4, 1, 2)


def test_a_subclass_shows_its_layers():
    model = built_subclass()
    found = run(model, model.first.name)
    check(found)
    np.testing.assert_allclose(found.columns[f"features:{model.first.name}"], model.first(INPUTS), atol=1e-6)


def test_members_have_their_layers():
    models = [
        keras.Sequential([layers.Input((5,)), layers.Dense(16, name="first"), layers.Dropout(0.5), layers.Dense(3)])
        for _ in range(2)
    ]
    models[1].set_weights([-weight for weight in models[0].get_weights()])
    found = run(models, "first", passes=2, seed=1)
    hidden = found.columns["features:first"]
    assert hidden.shape == (50, 4, 16)
    for place, model in ((0, models[0]), (1, models[0]), (2, models[1]), (3, models[1])):
        np.testing.assert_allclose(hidden[:, place], of_submodel(model, "first"), atol=1e-5)


def test_a_stateful_layer_shows_what_it_returns():
    layer = layers.SimpleRNN(3, stateful=True, name="rnn")
    model = keras.Sequential([layers.Input((2, 1), batch_size=4), layer])
    rows = np.arange(12, dtype=np.float32).reshape(6, 2, 1) / 12
    for options in ({}, {"output_transform": tf.nn.softmax}):
        found = run(model, "rnn", inputs=rows, batch_size=4, output_mode="auto", **options)
        np.testing.assert_allclose(tf.nn.softmax(found.columns["features:rnn"]), found.probabilities, atol=1e-6)


# What is refused


class Twice(Subclassed):
    def call(self, inputs):
        return self.second(self.first(inputs)) + self.second(self.first(-inputs))


def twice():
    model = Twice()
    model(INPUTS)
    model.first.name = "first"
    return model


class Several(layers.Layer):
    def call(self, inputs):
        return inputs, 2 * inputs


def several():
    inputs = layers.Input((5,))
    return keras.Model(inputs, layers.Dense(3)(Several(name="several")(inputs)[0]))


def recurrent():
    cell = layers.SimpleRNNCell(3, name="cell")
    return keras.Sequential([layers.Input((5,)), layers.Reshape((5, 1)), layers.RNN(cell, name="rnn")])


@pytest.mark.parametrize(
    ("make", "layer", "message"),
    [
        (keras_model, "denze", "the model has no layer 'denze'; it has 'dense.*', 'dropout.*', 'dense"),
        (twice, "first", "the layer 'first' is called 2 times per batch; keep one that is called once"),
        (Subclassed, "first", "keep: the model has no weights yet; call it once with a batch of inputs"),
        (several, "several", "the layer 'several' returns tuple of 2, not one array"),
        (recurrent, "rnn/cell", "the layer 'rnn/cell' runs in a loop or a branch"),
        (lambda: logits, "first", "keep: only the layers of a model of Keras 3 .* or leave the layers out of keep"),
    ],
    ids=["unknown", "twice", "unbuilt", "several", "loop", "function"],
)
def test_layers_that_cannot_be_had_are_refused(make, layer, message):
    with pytest.raises(ValueError, match=message):
        run(make(), layer, output_mode="logits")
