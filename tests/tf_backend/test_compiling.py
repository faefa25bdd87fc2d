"""What TensorFlow traces and compiles, and how often; the XLA option."""

import gc
import types
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from probly_data_generator_tensorflow import keeping
from tests.frameworks import suite

framework = suite("tensorflow")
WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))


def rows_of(generator, dataset=INPUTS):
    return generator.generate_distributions(dataset, progress=False).probabilities


def generator_of(model, **options):
    return FirstOrderDataGenerator(model, **{"batch_size": 16, "output_mode": "logits", **options})


def step_of(generator):
    return generator._loaded.step  # which step a run used is told by nothing else


def close(rows, expected):
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6)


# Traced once


def test_a_keras_model_of_keras_layers_is_traced_once_for_all_runs():
    generator = generator_of(framework.mlp(WEIGHTS))
    close(rows_of(generator), EXPECTED)
    first = step_of(generator)
    graphs = dict(first._traced)
    close(rows_of(generator), EXPECTED)
    assert step_of(generator) is first
    assert first._traced == graphs
    assert len(graphs) == 1


def test_new_weights_are_seen_by_the_graph_of_an_earlier_run():
    model = framework.mlp(WEIGHTS)
    generator = generator_of(model)
    rows_of(generator)
    step = step_of(generator)
    model.set_weights([np.zeros_like(array) for array in model.get_weights()])
    close(rows_of(generator), np.full((50, 3), 1 / 3))
    assert step_of(generator) is step


def test_a_function_of_tensorflow_is_traced_as_often_as_tensorflow_does():
    traces = []

    @tf.function
    def model(inputs):
        traces.append(inputs.shape.as_list())
        return inputs[:, :3]

    generator = generator_of(model)
    for _ in range(3):
        close(rows_of(generator), reference.softmax(INPUTS[:, :3].astype(float)))
    assert len(traces) == 1


# Traced again


def test_what_a_callable_closes_over_is_read_afresh_in_each_run():
    state = {"factor": 1.0}
    generator = generator_of(lambda inputs: state["factor"] * inputs[:, :3])
    for factor in (1.0, -2.0):
        state["factor"] = factor
        close(rows_of(generator), reference.softmax(factor * INPUTS[:, :3].astype(float)))


def relu(values):
    """Be no rectifier, in spite of the name: a configuration tells no more than that."""
    return relu.factor * values


relu.factor = 1.0


def custom_activation():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation=relu, use_bias=False)])
    model.set_weights([WEIGHTS.first[:, :3]])
    return model, lambda: setattr(relu, "factor", -1.0), -1.0


def changed_activation():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, use_bias=False)])
    model.set_weights([WEIGHTS.first[:, :3]])
    return model, lambda: setattr(model.layers[0], "activation", keras.ops.negative), -1.0


def changed_built_in():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, use_bias=False), keras.layers.LeakyReLU(1.0)])
    model.set_weights([WEIGHTS.first[:, :3]])

    def change():
        model.pop()
        model.add(keras.layers.Rescaling(-1.0))

    return model, change, -1.0


def lambda_layer():
    state = [1.0]
    layers = [keras.Input((5,)), keras.layers.Dense(3, use_bias=False), keras.layers.Lambda(lambda x: state[0] * x)]
    model = keras.Sequential(layers)
    model.set_weights([WEIGHTS.first[:, :3]])
    return model, lambda: state.__setitem__(0, -1.0), -1.0


def patched_call():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, use_bias=False)])
    model.set_weights([WEIGHTS.first[:, :3]])
    call = model.layers[0].call

    def change():
        model.layers[0].call = lambda inputs, training=None: -call(inputs)

    return model, change, -1.0


class Scaled(keras.layers.Layer):
    factor = 1.0

    def call(self, inputs):
        return self.factor * inputs


def own_layer():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, use_bias=False), Scaled()])
    model.set_weights([WEIGHTS.first[:, :3]])
    return model, lambda: setattr(model.layers[1], "factor", -1.0), -1.0


def more_variables():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, use_bias=False)])
    model.set_weights([WEIGHTS.first[:, :3]])

    def change():
        layer = model.layers[0]
        layer.enable_lora(5)
        layer.lora_kernel_a.assign(np.eye(5))
        layer.lora_kernel_b.assign(-2 * WEIGHTS.first[:, :3])

    return model, change, -1.0


def patched_method():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, use_bias=False)])
    model.set_weights([WEIGHTS.first[:, :3]])
    call = model.layers[0].call

    def change():
        model.layers[0].call = types.MethodType(lambda layer, inputs, training=None: -call(inputs), model.layers[0])

    return model, change, -1.0


def patched_class():
    class Dense(keras.layers.Dense):
        pass

    Dense.__module__ = keras.layers.Dense.__module__
    model = keras.Sequential([keras.Input((5,)), Dense(3, use_bias=False)])
    model.set_weights([WEIGHTS.first[:, :3]])

    def change():
        Dense.call = lambda layer, inputs, training=None: -keras.layers.Dense.call(layer, inputs)

    return model, change, -1.0


def adapted():
    layer = keras.layers.Normalization(axis=None, mean=None)
    values = np.array([[-1.0], [1.0]])  # mean 0, variance 1
    layer.adapt(values)
    model = keras.Sequential([keras.Input((5,)), layer, keras.layers.Dense(3, use_bias=False)])
    model.layers[1].set_weights([WEIGHTS.first[:, :3]])
    return model, lambda: layer.adapt(2 * values), 0.5


CHANGES = [
    patched_method,
    patched_class,
    adapted,
    custom_activation,
    changed_activation,
    changed_built_in,
    lambda_layer,
    patched_call,
    own_layer,
    more_variables,
]


@pytest.mark.parametrize("make", CHANGES)
def test_a_keras_model_that_was_changed_between_runs_gives_its_new_rows(make):
    relu.factor = 1.0
    model, change, factor = make()
    scores = INPUTS.astype(float) @ WEIGHTS.first[:, :3]
    generator = generator_of(model)
    close(rows_of(generator), reference.softmax(scores))
    change()
    close(rows_of(generator), reference.softmax(factor * scores))


def test_running_eagerly_is_honoured_from_the_next_run_on():
    model = framework.mlp(WEIGHTS)
    generator = generator_of(model)
    rows_of(generator)
    model.compile(run_eagerly=True)
    close(rows_of(generator), EXPECTED)
    assert step_of(generator).eager


def test_a_model_is_not_kept_alive():
    model = framework.mlp(WEIGHTS)
    number, reference_to = id(model), weakref.ref(model)
    generator = generator_of(model)
    rows_of(generator)
    assert keeping.last_loaded(model) is generator._loaded
    del model, generator
    gc.collect()
    assert reference_to() is None
    assert number not in keeping._LOADED


# The way of the inputs


def test_tensors_that_are_on_the_device_are_not_copied():
    tensor = tf.constant(INPUTS)
    assert generator_of(framework.mlp(WEIGHTS)).to_device(tensor) is tensor


def test_graphs_of_one_tensor_are_called_directly():
    model = framework.mlp(WEIGHTS)
    generator = generator_of(model)
    rows_of(generator)
    step = step_of(generator)
    step._functions.clear()  # nothing is asked of tf.function any more
    close(rows_of(generator), EXPECTED)
    assert step._functions == {}


def test_dtypes_and_axes_have_graphs_of_their_own():
    dtypes = []

    def model(inputs):
        dtypes.append(inputs.dtype.name)
        return tf.reshape(tf.cast(inputs, tf.float32), [-1, 5])[:, :3]

    generator = generator_of(model)
    step = step_of(generator)
    for inputs in (INPUTS, INPUTS.astype(np.float64), INPUTS[:, :, None], INPUTS):
        rows = step(tf.constant(inputs), "logits", 50)
        close(rows, reference.softmax(INPUTS[:, :3].astype(float)))
    assert dtypes == ["float32", "float64", "float32"]


# Options


def test_xla_gives_the_same_rows_and_compiles_once_although_the_last_batch_is_ragged():
    shapes = []

    def model(inputs):
        shapes.append(inputs.shape.as_list())
        return tf.nn.relu(inputs @ WEIGHTS.first + WEIGHTS.first_bias) @ WEIGHTS.second + WEIGHTS.second_bias

    generator = generator_of(model, options={"xla": True})
    step = step_of(generator)
    distributions = generator.generate_distributions(INPUTS, progress=False)
    close(distributions.probabilities, EXPECTED)
    assert distributions.meta["options"] == {"xla": True}
    assert len(shapes) == 1
    rows = step(tf.constant(INPUTS[:2]), "logits", 16)
    assert rows.shape == (2, 3)
    (graph,) = step_of(generator)._traced.values()
    assert graph.function_def.attr["_XlaMustCompile"].b


def test_xla_compiles_keras_models_and_pipelines_of_batches():
    dataset = tf.data.Dataset.from_tensor_slices((INPUTS, LABELS)).batch(16)
    close(rows_of(generator_of(framework.mlp(WEIGHTS), options={"xla": True}), dataset), EXPECTED)


def test_without_the_option_xla_is_left_to_tensorflow():
    generator = generator_of(framework.mlp(WEIGHTS))
    distributions = generator.generate_distributions(INPUTS, progress=False)
    (graph,) = step_of(generator)._traced.values()
    assert "options" not in distributions.meta
    assert "_XlaMustCompile" not in graph.function_def.attr or not graph.function_def.attr["_XlaMustCompile"].b


def test_another_option_makes_another_step():
    model = framework.mlp(WEIGHTS)
    plain, xla = generator_of(model), generator_of(model, options={"xla": True})
    for generator in (plain, xla, plain):
        close(rows_of(generator), EXPECTED)
    assert not step_of(plain).xla
    assert step_of(xla).xla


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"unknown option 'jit'; known: xla"):
        generator_of(framework.mlp(WEIGHTS), options={"jit": True})
    with pytest.raises(ValueError, match=r"option 'xla': expected one of False, True, got 'yes'"):
        generator_of(framework.mlp(WEIGHTS), options={"xla": "yes"})


# Rows in advance


@pytest.mark.parametrize(
    ("dataset", "length"),
    [
        (tf.data.Dataset.from_tensor_slices(INPUTS).batch(10, drop_remainder=True), 50),
        (tf.data.Dataset.from_tensor_slices((INPUTS, LABELS)).batch(10, drop_remainder=True).prefetch(1), 50),
        (tf.data.Dataset.from_tensor_slices(INPUTS).batch(10), None),
    ],
)
def test_rows_are_counted_without_tracing_anything(dataset, length, monkeypatch):
    model = framework.mlp(WEIGHTS)
    generator = generator_of(model, batched=True)
    monkeypatch.setattr(tf.data.Dataset, "unbatch", None)
    batches = generator._batches(dataset, generator._loaded)
    assert batches.length == length
    assert sum(len(batch.indices) for batch in batches) == 50
