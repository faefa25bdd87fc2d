"""Live models: what counts as one, what is given to it and left as it was, which backend gets it."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import create_data_generator
from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.tf_backend.mlp import (
    EXPECTED,
    HOOK,
    INPUTS,
    LABELS,
    WEIGHTS,
    Module,
    Subclassed,
    check,
    digest,
    keras_model,
    logits,
    python,
    run,
    samples,
)


def test_the_callers_keras_model_is_left_as_it_was_found():
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((5,)),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.GaussianNoise(1.0),
            layers.Dense(3),
        ]
    )
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    state = [np.asarray(variable.value) for variable in (*model.variables, *model.optimizer.variables)]
    flags = [layer.trainable for layer in model.layers]
    first, second = (run(model, INPUTS) for _ in range(2))
    assert first == second
    after = [np.asarray(variable.value) for variable in (*model.variables, *model.optimizer.variables)]
    for left, right in zip(state, after, strict=True):
        np.testing.assert_array_equal(left, right)
    assert [layer.trainable for layer in model.layers] == flags
    assert model.compiled


def test_new_weights_are_seen_by_the_next_run():
    model = keras_model(reference.mlp_weights(seed=5))
    made = FirstOrderDataGenerator(model)
    before = made.generate_distributions(INPUTS)
    model.set_weights(list(WEIGHTS))
    check(made.generate_distributions(INPUTS))
    assert before != made.generate_distributions(INPUTS)


def changed_activation():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, use_bias=False)])
    model.set_weights([WEIGHTS.first[:, :3]])
    return model, lambda: setattr(model.layers[0], "activation", keras.ops.negative), -1.0


def changed_layers():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, use_bias=False), keras.layers.LeakyReLU(1.0)])
    model.set_weights([WEIGHTS.first[:, :3]])

    def change():
        model.pop()
        model.add(keras.layers.Rescaling(-1.0))

    return model, change, -1.0


def adapted():
    layer = keras.layers.Normalization(axis=None, mean=None)
    values = np.array([[-1.0], [1.0]])  # mean 0, variance 1
    layer.adapt(values)
    model = keras.Sequential([keras.Input((5,)), layer, keras.layers.Dense(3, use_bias=False)])
    model.layers[1].set_weights([WEIGHTS.first[:, :3]])
    return model, lambda: layer.adapt(2 * values), 0.5


@pytest.mark.parametrize("make", [changed_activation, changed_layers, adapted])
def test_a_keras_model_that_was_changed_between_runs_gives_its_new_rows(make):
    model, change, factor = make()
    scores = INPUTS.astype(float) @ WEIGHTS.first[:, :3]
    generator = FirstOrderDataGenerator(model, output_mode="logits")
    check(generator.generate_distributions(INPUTS, progress=False), reference.softmax(scores))
    change()
    check(generator.generate_distributions(INPUTS, progress=False), reference.softmax(factor * scores))


@pytest.mark.parametrize("kind", ["layer", "module", "tf.function", "concrete", "callable", "bound method"])
def test_kinds_of_live_models(kind):
    dense = keras.layers.Dense(3)
    dense.build((None, 5))
    module = Module()
    compiled = tf.function(logits)
    model = {
        "layer": dense,
        "module": module,
        "tf.function": compiled,
        "concrete": compiled.get_concrete_function(tf.TensorSpec([None, 5])),
        "callable": logits,
        "bound method": module.__call__,
    }[kind]
    dense.set_weights([np.zeros((5, 3)), np.zeros(3)])
    check(run(model, INPUTS), np.full((50, 3), 1 / 3) if kind == "layer" else EXPECTED)


def test_an_argument_called_training_is_false():
    def model(inputs, training=True):
        return logits(inputs) + (tf.random.normal((3,)) if training else 0.0)

    check(run(model, INPUTS))
    check(run(tf.function(model), INPUTS))


def test_inputs_reach_keras_in_their_structure():
    left, right = keras.Input((5,), name="left"), keras.Input((5,), name="right")
    named = keras.Model({"left": left, "right": right}, left - right)
    listed = keras.Model([left, right], left - right)
    expected = reference.softmax(INPUTS - 2 * INPUTS[::-1])
    parts = {"left": INPUTS, "right": 2 * INPUTS[::-1]}
    check(run(named, (parts, LABELS)), expected)
    check(run(listed, ((parts["left"], parts["right"]), LABELS)), expected)
    pipeline = tf.data.Dataset.from_tensor_slices((parts, LABELS))
    check(run(named, pipeline), expected)
    check(run(named, pipeline.batch(8)), expected)


def test_text_reaches_keras():
    model = keras.Sequential(
        [
            keras.layers.TextVectorization(output_mode="multi_hot", vocabulary=["good", "bad"]),
            keras.layers.Dense(2),
        ]
    )
    model(tf.constant([["good"]]))
    model.layers[1].set_weights([np.array([[0, 0], [0, 1], [1, 0]], np.float32), np.zeros(2)])
    rows = run(model, ["good", "bad", "very bad"], batch_size=2)
    assert rows.probabilities.argmax(axis=1).tolist() == [1, 0, 0]


def test_something_that_is_no_model_is_refused():
    with pytest.raises(TypeError, match="expected a Keras model, a callable or a path as model, got int"):
        FirstOrderDataGenerator(3)


def test_module_and_attribute():
    check(run("tests.tf_backend.mlp:Module", INPUTS))


def test_a_model_may_be_built_after_its_generator_was_made():
    model = Subclassed()
    generator = FirstOrderDataGenerator(model)
    model(INPUTS[:1])
    model.set_weights(list(WEIGHTS))
    for dataset in (samples(), samples().batch(8)):
        check(generator.generate_distributions(dataset, progress=False))


# What tells its weights from others


def test_the_digest_is_that_of_the_weights():
    assert digest(keras_model()).startswith("sha256:")
    assert digest(keras_model()) == digest(keras_model()), "whatever Keras calls the layers"
    other = keras_model(reference.mlp_weights(seed=5))
    assert digest(other) != digest(keras_model())
    other.set_weights(list(WEIGHTS))
    assert digest(other) == digest(keras_model())
    assert digest(Module()) == digest(Module())
    assert digest(logits).startswith("sha256:"), "its code and its globals"


def test_attributes_called_variables_that_hold_none():
    class Own:
        def variables(self):
            raise AssertionError

        def __call__(self, inputs):
            return logits(inputs)

    check(run(Own(), INPUTS))
    assert digest(Own()).startswith("sha256:")


# Choosing the backend


def test_what_is_recognized():
    for model in (keras_model(), Subclassed(), keras.layers.Dense(3), Module(), tf.function(logits)):
        assert HOOK.recognizes(source=model)
    for model in (logits, np.zeros, object(), "model.keras"):
        assert not HOOK.recognizes(source=model)
    assert HOOK.recognizes(source=Subclassed()) is keras.Model, "the most specific class of the framework's"


def test_files_and_folders_that_are_recognized(tmp_path):
    for name in ("a.keras", "a.h5", "a.hdf5"):
        assert HOOK.recognizes(source=Path(name))
    (tmp_path / "model").mkdir()
    assert not HOOK.recognizes(source=tmp_path / "model")
    (tmp_path / "model" / "saved_model.pb").touch()
    assert HOOK.recognizes(source=tmp_path / "model")
    for name in ("a.pt", "a.onnx", "keras", "a.npz"):
        assert not HOOK.recognizes(source=Path(name))


@pytest.mark.parametrize("name", ["tensorflow", "tf", "keras"])
def test_aliases(name):
    made = create_data_generator(name, keras_model(), samples().batch(8))
    assert made.generate()["info"]["framework"] == name
    assert made.distributions.meta["backend"] == "tensorflow"
    assert {"keras", "tensorflow"} <= made.distributions.meta["versions"].keys()


def test_keras_on_another_framework_names_the_backend_to_choose(tmp_path):
    (tmp_path / "model.keras").touch()
    code = f"""
import h5py
import keras
from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
print(load_backend(find_backend("tensorflow")).hook.recognizes(source=model))
for source in (model, {str(tmp_path / "model.keras")!r}):
    try:
        FirstOrderDataGenerator(source, backend="tensorflow")
    except ValueError as error:
        print(error)
"""
    recognized, live, file = python(code, KERAS_BACKEND="jax")
    assert recognized == "False"
    assert live == "this Keras model runs on 'jax', not on TensorFlow; choose backend='jax'"
    assert "KERAS_BACKEND=tensorflow" in file
    assert "backend='jax'" in file
