"""Calling the model: how often it is traced and called, when it runs eagerly, and what XLA is given."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import HOST, InvalidOutputError
from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.tf_backend.mlp import EXPECTED, HOOK, INPUTS, LABELS, WEIGHTS, Subclassed, check, keras_model, logits, run

MODES = {
    "auto": {"output_mode": "auto"},
    "logits": {"output_mode": "logits"},
    "probs": {"output_mode": "probs"},
    "transform": {"output_transform": lambda rows: rows},
}


class Tracing:
    """A model that notes the shapes of the inputs that it is traced, or called eagerly, with."""

    def __init__(self, function=logits):
        self.function, self.shapes = function, []

    def __call__(self, inputs):
        self.shapes.append(inputs.shape.as_list())
        return self.function(inputs)


class Counting(tf.Module):
    """A model that returns probabilities and counts its calls and rows, in a graph, too."""

    def __init__(self):
        super().__init__()
        self.calls, self.rows = tf.Variable(0), tf.Variable(0)

    def __call__(self, inputs):
        self.calls.assign_add(1)
        self.rows.assign_add(tf.shape(inputs)[0])
        return tf.nn.softmax(logits(inputs))


# Once per batch


@pytest.mark.parametrize("mode", MODES)
def test_the_model_sees_every_batch_once(mode):
    seen = []

    def look(inputs):
        seen.append(np.array(inputs))
        return inputs

    def model(inputs):
        looked = tf.ensure_shape(tf.numpy_function(look, [inputs], tf.float32), inputs.shape)
        return logits(looked) if mode == "logits" else tf.nn.softmax(logits(looked))

    check(run(model, INPUTS, **MODES[mode]))
    assert [len(batch) for batch in seen] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.concatenate(seen), INPUTS)


@pytest.mark.parametrize("mode", ["auto", "probs", "transform"])
@pytest.mark.parametrize("way", ["compiled", "eager", "xla"])
def test_no_way_of_calling_it_calls_it_twice(mode, way):
    model = Counting()
    model.run_eagerly = way == "eager"
    check(run(model, INPUTS, options={"xla": way == "xla"}, **MODES[mode]))
    assert model.calls.numpy() == 4
    padded = way == "xla" and mode != "transform"
    assert model.rows.numpy() == (64 if padded else 50)


@pytest.mark.parametrize("mode", MODES)
def test_one_run_is_one_trace_and_the_ragged_last_batch_none(mode):
    model = Tracing(logits if mode == "logits" else lambda inputs: tf.nn.softmax(logits(inputs)))
    check(run(model, INPUTS, **MODES[mode]))
    assert model.shapes == [[None, 5]]


def test_what_a_callable_closes_over_is_read_afresh_in_each_run():
    state = {"factor": 1.0}
    model = Tracing(lambda inputs: state["factor"] * inputs[:, :3])
    generator = FirstOrderDataGenerator(model, output_mode="logits")
    for factor in (1.0, -2.0):
        state["factor"] = factor
        rows = generator.generate_distributions(INPUTS, progress=False)
        check(rows, reference.softmax(factor * INPUTS[:, :3].astype(float)))
    assert len(model.shapes) == 2


def test_a_function_of_tensorflow_is_traced_as_often_as_tensorflow_does():
    inner = Tracing()
    generator = FirstOrderDataGenerator(tf.function(inner), output_mode="logits", batch_size=16)
    for _ in range(3):
        check(generator.generate_distributions(INPUTS, progress=False))
    assert len(inner.shapes) == 1


def test_inputs_of_many_lengths_are_traced_twice():
    model = Tracing(lambda inputs: tf.reduce_sum(inputs, axis=1))
    texts = [np.full((length, 3), 1.0, np.float32) for length in (2, 2, 4, 4, 3, 3, 5, 5)]
    rows = run(model, texts, output_mode="logits", batch_size=2)
    check(rows, np.full((8, 3), 1 / 3))
    assert model.shapes == [[None, 2, 3], [None, None, 3]]


def test_dtypes_and_axes_have_graphs_of_their_own():
    dtypes = []

    def model(inputs):
        dtypes.append(inputs.dtype.name)
        return tf.reshape(tf.cast(inputs, tf.float32), [-1, 5])[:, :3]

    loaded = HOOK.load_model(source=model, device=None, options={})
    for inputs in (INPUTS, INPUTS.astype(np.float64), INPUTS[:, :, None], INPUTS):
        outputs = HOOK.forward(model=loaded, inputs=tf.constant(inputs), batch_size=50)
        np.testing.assert_array_equal(outputs, INPUTS[:, :3])
    assert dtypes == ["float32", "float64", "float32"]


# The model's own outputs


def test_raw_outputs_reach_the_transform_untouched():
    seen = []

    def model(inputs):
        return {"scores": (logits(inputs), inputs), "loss": tf.constant(0.5)}

    def transform(outputs):
        seen.append({name: type(value) for name, value in outputs.items()})
        return tf.nn.softmax(outputs["scores"][0])

    for xla in (False, True):
        check(run(model, INPUTS, output_transform=transform, options={"xla": xla}))
        assert len(seen) == 4
        assert seen.pop()["scores"] is tuple
        seen.clear()


def test_scores_are_picked_from_outputs_that_name_them():
    for xla in (False, True):
        check(run(lambda inputs: {"logits": logits(inputs), "loss": 0.5}, INPUTS, options={"xla": xla}))


def test_a_model_that_returns_nothing_is_told_what_to_return():
    with pytest.raises(TypeError, match=r"Model must return one array with a row per input.*got NoneType"):
        run(lambda inputs: None, INPUTS)


def test_a_single_score_of_unknown_width_gives_two_columns():
    """While a graph is made, a numpy_function does not tell its shape; an (N, 1) score must not become one class."""
    scores = np.linspace(0, 1, 50, dtype=np.float32)[:, None]

    def model(inputs):
        return tf.numpy_function(lambda array: array, [inputs], tf.float32)

    check(run(model, scores, output_mode="probs"), np.hstack([1 - scores, scores]))


def test_outputs_that_are_written_to_again_are_not_lost():
    memory = np.empty((16, 3), np.float32)

    def model(inputs):
        rows = memory[: len(inputs)]
        rows[:] = logits(inputs)
        return rows

    model.run_eagerly = True
    check(run(model, INPUTS, output_mode="logits"))


@pytest.mark.parametrize("xla", [False, True])
def test_wrong_row_counts_are_refused(xla):
    with pytest.raises(InvalidOutputError, match="expected 16 rows, got 15"):
        run(lambda batch: logits(batch)[1:], INPUTS, output_mode="logits", options={"xla": xla})


def test_a_wrong_row_count_is_not_cut_to_a_right_one():
    loaded = HOOK.load_model(source=lambda batch: logits(batch)[:2], device=None, options={"xla": True})
    with pytest.raises(InvalidOutputError, match="expected 16 rows, got 2"):
        HOOK.forward(model=loaded, inputs=tf.constant(INPUTS[:2]), batch_size=16)


def test_mixed_precision_gives_float32_distributions():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = keras_model()
        probabilities = keras.Sequential([model, keras.layers.Softmax()])
        probabilities.build((None, 5))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert model(INPUTS[:2]).dtype == tf.float16
    for made in (model, probabilities):
        rows = run(made, INPUTS).probabilities
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, EXPECTED, rtol=0, atol=1e-2)
        np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=0, atol=1e-5)


# Without a graph


def test_a_model_that_cannot_be_traced_runs_eagerly_with_one_warning():
    def model(inputs):
        return np.asarray(reference.mlp_logits(WEIGHTS, inputs.numpy()), np.float32)

    with pytest.warns(UserWarning, match=r"cannot be compiled.*runs eagerly.*run_eagerly") as caught:
        distributions = run(model, INPUTS, output_mode="logits")
    check(distributions)
    assert len(caught) == 1
    model.run_eagerly = True
    check(run(model, INPUTS, output_mode="logits"))


def test_a_broken_model_fails_with_its_own_error_and_no_warning():
    def model(inputs):
        return inputs @ tf.zeros((7, 3))

    with pytest.raises(tf.errors.InvalidArgumentError, match="Matrix size-incompatible") as caught:
        run(model, INPUTS)
    assert "batch 0" in caught.value.__notes__[-1]
    assert not isinstance(caught.value.__context__, ValueError), "the failure to trace would only confuse"


def test_functions_run_eagerly_is_honoured():
    eager = []

    def model(inputs):
        eager.append(tf.executing_eagerly())
        return logits(inputs)

    tf.config.run_functions_eagerly(run_eagerly=True)
    try:
        check(run(model, INPUTS, output_mode="logits"))
    finally:
        tf.config.run_functions_eagerly(run_eagerly=False)
    assert eager == [True] * 4


def test_a_keras_model_compiled_to_run_eagerly_does_from_the_next_run_on():
    eager = []

    class Watching(Subclassed):
        def call(self, inputs):
            eager.append(tf.executing_eagerly())
            return super().call(inputs)

    model = Watching()
    model(INPUTS[:1])
    generator = FirstOrderDataGenerator(model, batch_size=16)
    generator.generate_distributions(INPUTS, progress=False)
    model.compile(run_eagerly=True)
    eager.clear()
    generator.generate_distributions(INPUTS, progress=False)
    assert eager == [True] * 4


def test_running_out_of_memory_is_recognized_and_halves_the_batch():
    for error in (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"), MemoryError()):
        assert HOOK.is_out_of_memory(error=error)
    for error in (tf.errors.InvalidArgumentError(None, None, "out of memory"), ValueError()):
        assert not HOOK.is_out_of_memory(error=error)

    def model(inputs):
        if len(inputs) > 5:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return logits(inputs)

    model.run_eagerly = True
    with pytest.warns(UserWarning, match="ran out of memory"):
        check(run(model, INPUTS, output_mode="logits"))


# XLA


def must_compile(loaded):
    """Return whether the graph that a model made for the inputs is one for XLA."""
    graph = loaded.step.compiled.get_concrete_function(tf.TensorSpec([None, 5]))
    attributes = graph.function_def.attr
    return "_XlaMustCompile" in attributes and attributes["_XlaMustCompile"].b


def test_xla_gives_the_same_rows_and_compiles_once_although_the_last_batch_is_ragged():
    model = Tracing()
    generator = FirstOrderDataGenerator(model, batch_size=16, output_mode="logits", options={"xla": True})
    distributions = generator.generate_distributions(INPUTS, progress=False)
    check(distributions)
    assert distributions.meta["options"] == {"xla": True}
    assert model.shapes == [[None, 5]]
    loaded = HOOK.load_model(source=keras_model(), device=None, options={"xla": True})
    outputs = HOOK.forward(model=loaded, inputs=tf.constant(INPUTS[:2]), batch_size=16)
    assert HOOK.to_device(data=outputs, device=HOST).shape == (2, 3)
    assert must_compile(loaded)


def test_xla_compiles_keras_models_and_pipelines_of_batches():
    dataset = tf.data.Dataset.from_tensor_slices((INPUTS, LABELS)).batch(16)
    check(run(keras_model(), dataset, options={"xla": True}))


def test_without_the_option_xla_is_left_to_tensorflow():
    loaded = HOOK.load_model(source=keras_model(), device=None, options={})
    HOOK.forward(model=loaded, inputs=tf.constant(INPUTS), batch_size=50)
    assert not must_compile(loaded)
    assert "options" not in run(keras_model(), INPUTS).meta


def test_what_xla_does_not_have_is_an_error():
    def model(inputs):
        return tf.numpy_function(lambda array: array, [inputs], tf.float32)

    with pytest.raises(tf.errors.OpError, match="XLA"):
        run(model, INPUTS, output_mode="logits", options={"xla": True})


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"unknown option 'jit'; known: trust, xla"):
        FirstOrderDataGenerator(logits, options={"jit": True})
    with pytest.raises(ValueError, match=r"option 'xla': expected one of False, True, got 'yes'"):
        FirstOrderDataGenerator(logits, options={"xla": "yes"})
