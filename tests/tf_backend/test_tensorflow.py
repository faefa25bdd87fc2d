"""What only the TensorFlow backend does; what all backends share is in test_conformance and test_shared."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import HOST, AlignmentError, InvalidOutputError, create_data_generator
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.tensorflow_generator import (
    FirstOrderDataGenerator,
    FirstOrderDataset,
    TensorFlowDataGenerator,
    output_dataloader,
)
from probly.data_generator.testing import reference
from tests.frameworks import suite

framework = suite("tensorflow")
WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))
HOOK = load_backend(find_backend("tensorflow")).hook

# Keras calls NumPy with copy=..., which TensorFlow's tensors do not know yet.
KERAS_COPIES = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def samples():
    return tf.data.Dataset.from_tensor_slices((INPUTS, LABELS))


def run(model, dataset, **options):
    return FirstOrderDataGenerator(model, **{"batch_size": 16, **options}).generate_distributions(dataset)


def check(distributions, expected=EXPECTED):
    np.testing.assert_array_equal(distributions.indices, np.arange(len(expected)))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)


def logits(inputs):
    """Return the MLP in TensorFlow operations, without Keras."""
    hidden = tf.nn.relu(inputs @ WEIGHTS.first + WEIGHTS.first_bias)
    return hidden @ WEIGHTS.second + WEIGHTS.second_bias


class Module(tf.Module):
    """The MLP as a tf.Module that makes noise unless told not to."""

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


# The compiled step


def test_each_mode_is_traced_once_and_the_ragged_last_batch_not_again():
    shapes = []

    def model(inputs):
        shapes.append(inputs.shape.as_list())
        return logits(inputs)

    check(run(model, INPUTS, output_mode="logits"))
    assert shapes == [[None, 5]]
    shapes.clear()
    check(run(model, INPUTS, output_mode="auto"))
    assert shapes == [[None, 5]] * 2, "once to decide and once to run"


def test_inputs_of_many_lengths_are_traced_twice():
    shapes = []

    def model(inputs):
        shapes.append(inputs.shape.as_list())
        return tf.reduce_sum(inputs, axis=1)

    texts = [np.full((length, 3), 1.0, np.float32) for length in (2, 2, 4, 4, 3, 3, 5, 5)]
    rows = run(model, texts, output_mode="logits", batch_size=2)
    check(rows, np.full((8, 3), 1 / 3))
    assert shapes == [[None, 2, 3], [None, None, 3]]


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


def test_outputs_of_unknown_width_are_not_taken_for_classes():
    """A (N, 1) score would become a softmax over one class."""
    scores = np.linspace(0, 1, 50, dtype=np.float32)[:, None]

    def model(inputs):
        return tf.numpy_function(lambda array: array, [inputs], tf.float32)

    with pytest.warns(UserWarning, match="unknown while they are compiled"):
        distributions = run(model, scores, output_mode="probs")
    check(distributions, np.hstack([1 - scores, scores]))


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


def test_a_keras_model_compiled_to_run_eagerly_does():
    eager = []

    class Watching(Subclassed):
        def call(self, inputs):
            eager.append(tf.executing_eagerly())
            return super().call(inputs)

    model = Watching()
    model(INPUTS[:1])
    eager.clear()
    model.compile(run_eagerly=True)
    run(model, INPUTS)
    assert eager
    assert all(eager)


def test_raw_outputs_reach_the_transform_untouched():
    seen = []

    def model(inputs):
        return {"scores": (logits(inputs), inputs), "loss": tf.constant(0.5)}

    def transform(outputs):
        seen.append({name: type(value) for name, value in outputs.items()})
        return tf.nn.softmax(outputs["scores"][0])

    check(run(model, INPUTS, output_transform=transform))
    assert seen[0]["scores"] is tuple


def test_running_out_of_memory_is_recognized():
    assert HOOK.is_out_of_memory(error=framework.out_of_memory())
    assert HOOK.is_out_of_memory(error=MemoryError())
    assert not HOOK.is_out_of_memory(error=tf.errors.InvalidArgumentError(None, None, "out of memory"))
    assert not HOOK.is_out_of_memory(error=ValueError())


# Models


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
    model = framework.mlp(reference.mlp_weights(seed=5))
    made = FirstOrderDataGenerator(model)
    before = made.generate_distributions(INPUTS)
    model.set_weights(list(WEIGHTS))
    check(made.generate_distributions(INPUTS))
    assert before != made.generate_distributions(INPUTS)


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
    check(run("tests.test_tensorflow:Module", INPUTS))


def test_mixed_precision_gives_float32_distributions():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = framework.mlp(WEIGHTS)
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


# Files


@KERAS_COPIES
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_files(tmp_path, suffix):
    framework.mlp(WEIGHTS).save(tmp_path / f"model{suffix}")
    check(run(tmp_path / f"model{suffix}", samples()))
    check(run(str(tmp_path / f"model{suffix}"), samples().batch(7)))


@KERAS_COPIES
def test_keras_files_of_registered_classes(tmp_path):
    model = Subclassed()
    model(INPUTS[:1])
    model.set_weights(list(WEIGHTS))
    model.save(tmp_path / "model.keras")
    check(run(tmp_path / "model.keras", samples()))


@pytest.mark.parametrize("kind", ["signature", "export", "call"])
def test_saved_models(tmp_path, kind):
    folder = str(tmp_path / "model")
    if kind == "export":
        framework.mlp(WEIGHTS).export(folder, verbose=False)
    else:
        tf.saved_model.save(Module(), folder, signatures={} if kind == "call" else None)
    dataset = samples().batch(7)
    check(run(tmp_path / "model", dataset, batched=True if kind == "call" else None))


def test_saved_models_with_several_inputs(tmp_path):
    class Two(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 5], name="a"), tf.TensorSpec([None, 5], name="b")])
        def predict(self, a, b):
            return {"logits": a - b, "other": a}

    module = Two()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.predict)
    inputs = {"a": INPUTS, "b": INPUTS[::-1]}
    check(run(tmp_path / "model", inputs), reference.softmax(INPUTS - INPUTS[::-1]))
    with pytest.raises(TypeError, match=r"inputs \['a', 'b'\]; expected a mapping"):
        run(tmp_path / "model", INPUTS)


class Stochastic(tf.Module):
    """Drops everything unless it is told that it does not train."""

    def __init__(self):
        super().__init__()
        self.weights = [tf.Variable(array) for array in WEIGHTS]

    def outputs(self, inputs, training):
        first, first_bias, second, second_bias = self.weights
        rows = tf.nn.relu(inputs @ first + first_bias) @ second + second_bias
        return 0.0 * rows if training else rows


class Positional(Stochastic):
    @tf.function
    def __call__(self, inputs, training=True):
        return self.outputs(inputs, training)


class Keyword(Stochastic):
    @tf.function
    def __call__(self, inputs, *, training=True):
        return self.outputs(inputs, training)


class Dynamic(Stochastic):
    @tf.function(input_signature=[tf.TensorSpec([None, 5]), tf.TensorSpec([], tf.bool)])
    def __call__(self, inputs, training):
        rows = self.outputs(inputs, training=False)
        return tf.where(training, 0.0 * rows, rows)


class AlwaysTraining(Stochastic):
    @tf.function(input_signature=[tf.TensorSpec([None, 5])])
    def __call__(self, inputs, training=True):
        return self.outputs(inputs, training)


ANY_ROWS = tf.TensorSpec([None, 5])


@pytest.mark.parametrize("kind", [Positional, Keyword, Dynamic])
def test_saved_models_run_with_training_off(tmp_path, kind):
    module = kind()
    if kind is not Dynamic:
        for training in (True, False):
            module.__call__.get_concrete_function(ANY_ROWS, training=training)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={})
    check(run(tmp_path / "model", INPUTS, output_mode="logits"))


@pytest.mark.parametrize("kind", [Positional, Keyword, AlwaysTraining])
@pytest.mark.parametrize("signatures", [{}, None], ids=["call", "signature"])
def test_saved_models_that_can_only_train_are_refused(tmp_path, kind, signatures):
    module = kind()
    if kind is not AlwaysTraining:
        module.__call__.get_concrete_function(ANY_ROWS, training=True)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=signatures)
    with pytest.raises(ValueError, match=r"model: the model was saved in training mode.*training=False before"):
        FirstOrderDataGenerator(tmp_path / "model")


def test_saved_models_with_a_signature_that_does_not_train(tmp_path):
    module = Positional()
    module.__call__.get_concrete_function(ANY_ROWS, training=True)
    serve = tf.function(lambda inputs: module(inputs, training=False), input_signature=[ANY_ROWS])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=serve.get_concrete_function())
    check(run(tmp_path / "model", INPUTS, output_mode="logits"))


class Slotted:
    __slots__ = ()

    def __call__(self, inputs):
        return logits(inputs)


class Unhashable:
    __hash__ = None

    def __call__(self, inputs):
        return logits(inputs)


@pytest.mark.parametrize("kind", [Slotted, Unhashable])
def test_callables_that_no_scope_can_be_kept_for(kind):
    check(run(kind(), INPUTS, output_mode="logits"))
    with (
        tf.distribute.OneDeviceStrategy("CPU:0").scope(),
        pytest.raises(TypeError, match=rf"strategy of this scope cannot be kept for a {kind.__name__}.*wrap the model"),
    ):
        FirstOrderDataGenerator(kind())


def save_lambda(path):
    keras.Sequential([keras.Input((5,)), keras.layers.Lambda(lambda x: x * 2)]).save(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_python_code_in_a_file_is_not_run(tmp_path, suffix):
    save_lambda(tmp_path / f"model{suffix}")
    with pytest.raises(ValueError, match=r"model\..*Lambda layer.*not run.*safe_mode=False.*pass the model"):
        FirstOrderDataGenerator(tmp_path / f"model{suffix}")


def empty_folder(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "make", "error", "message"),
    [
        ("model.keras", lambda path: None, FileNotFoundError, "there is no such model file"),
        ("model.weights.h5", Path.touch, ValueError, "holds weights, not a model"),
        ("model.pb", Path.touch, ValueError, r"expected a .keras or .h5 file or a SavedModel folder, got .*'.pb'"),
        ("folder", empty_folder, OSError, "SavedModel file does not exist"),
    ],
)
def test_files_that_are_no_models(tmp_path, name, make, error, message):
    make(tmp_path / name)
    with pytest.raises(error, match=message):
        FirstOrderDataGenerator(tmp_path / name)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_damaged_files_say_what_to_do(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=rf"{name}: is no Keras model, or is damaged: expected a (zip|HDF5) file"):
        FirstOrderDataGenerator(path)
    if name.endswith(".h5"):
        h5py.File(path, "w").close()
    else:
        zipfile.ZipFile(path, "w").close()
    with pytest.raises((ValueError, OSError, KeyError)) as caught:
        FirstOrderDataGenerator(path)
    assert "cannot be opened; if it has layers of your own" in caught.value.__notes__[0]


# Choosing the backend


def test_what_is_recognized():
    for model in (framework.mlp(WEIGHTS), Subclassed(), keras.layers.Dense(3), Module(), tf.function(logits)):
        assert HOOK.recognizes(model=model)
    for model in (logits, np.zeros, object(), "model.keras"):
        assert not HOOK.recognizes(model=model)


@pytest.mark.parametrize("name", ["tensorflow", "tf", "keras"])
def test_aliases(name):
    made = create_data_generator(name, framework.mlp(WEIGHTS), samples().batch(8))
    assert made.generate()["info"]["framework"] == name
    assert made.distributions.meta["backend"] == "tensorflow"
    assert {"keras", "tensorflow"} <= made.distributions.meta["versions"].keys()


def python(code, **environment):
    """Run a script with warnings as errors, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()


def test_keras_on_another_framework_names_the_backend_to_choose(tmp_path):
    (tmp_path / "model.keras").touch()
    code = f"""
import h5py
import keras
from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
print(load_backend(find_backend("tensorflow")).hook.recognizes(model=model))
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


# Devices


@pytest.mark.parametrize("name", ["cpu", "CPU", "cpu:0", "CPU:0", "/CPU:0", "/device:CPU:0", None])
def test_names_of_devices(name):
    made = TensorFlowDataGenerator(framework.mlp(WEIGHTS), samples().batch(32), batch_size=32, device=name)
    check(made.generate_distributions())
    assert made.get_info()["device"] == "CPU:0"


@pytest.mark.parametrize("name", ["GPU:9", "cpu:1", "cuda", "", "CPU:x"])
def test_unavailable_devices(name):
    with pytest.raises(ValueError, match=f"device '{name}' is not available to tensorflow .*available: 'CPU:0'"):
        FirstOrderDataGenerator(logits, device=name)


class Foreign:
    """An array of some other library."""

    def __array__(self, dtype=None, copy=None):
        return np.arange(3.0, dtype=np.float32)


def test_to_device():
    ragged = tf.ragged.constant([[1], [2, 3]])
    nest = {
        "bfloat16": tf.constant([1.5], tf.bfloat16),
        "variable": tf.Variable([1.0]),
        "foreign": Foreign(),
        "text": np.array(["a", "bc"]),
        "objects": np.array([None, "x"]),
        "dates": np.array(["2020-01-01"], "datetime64[D]"),
        "ragged": ragged,
        "number": 3,
    }
    moved = HOOK.to_device(data=nest, device="CPU:0")
    for name in ("bfloat16", "variable", "foreign", "text"):
        assert tf.is_tensor(moved[name])
        assert moved[name].device.endswith("CPU:0")
    assert not isinstance(moved["variable"], tf.Variable)
    for name in ("objects", "dates", "ragged", "number"):
        assert moved[name] is nest[name]
    hosted = HOOK.to_device(data=moved, device=HOST)
    assert hosted["bfloat16"].dtype == np.float32
    assert hosted["text"].tolist() == [b"a", b"bc"]
    assert HOOK.to_device(data=[Foreign()], device=HOST)[0].tolist() == [0, 1, 2]
    assert HOOK.to_device(data=np.array([0.5], np.float16), device=HOST).dtype == np.float32
    assert HOOK.to_device(data=ragged, device=HOST) is ragged


def test_half_precision_pipelines():
    halves = tf.data.Dataset.from_tensor_slices(tf.cast(INPUTS, tf.bfloat16)).batch(8)
    rows = run(lambda batch: batch, halves, output_mode="logits", batched=True)
    check(rows, reference.softmax(tf.cast(tf.cast(INPUTS, tf.bfloat16), tf.float32).numpy()))


STRATEGY = """
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from probly.data_generator import InvalidOutputError
from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator, TensorFlowDataGenerator
from tests import test_tensorflow as t

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
seen = []

def watched(inputs):
    seen.append((tf.identity(inputs).device[-5:], inputs.shape.as_list()))
    return t.logits(inputs)

with strategy.scope():
    model = t.framework.mlp(t.WEIGHTS)
    bound = TensorFlowDataGenerator(model, t.samples().batch(8), batch_size=32 * strategy.num_replicas_in_sync)
    function = FirstOrderDataGenerator(watched, batch_size=16, output_mode="logits")
for outside in (bound.generate_distributions(), FirstOrderDataGenerator(model).generate_distributions(t.INPUTS)):
    t.check(outside)  # a run outside the scope, and a generator made outside it: the model's variables tell
    assert outside.meta["device"] == "CPU:0,CPU:1", outside.meta
t.check(function.generate_distributions(t.INPUTS))  # 50 rows: 16, 16, 16 and 2
assert sorted(seen) == [("CPU:0", [8, 5]), ("CPU:1", [8, 5])], seen
assert set(map(str, function.to_device({"a": t.INPUTS})["a"].device[-5:].split())) == {"CPU:0"}
print("rows agree")

with strategy.scope():
    several = FirstOrderDataGenerator(
        lambda batch: {"scores": (t.logits(batch["x"]), None)},
        output_transform=lambda outputs: tf.nn.softmax(outputs["scores"][0]),
    )
t.check(several.generate_distributions({"x": t.INPUTS}))
print("nests agree")

with strategy.scope():
    wrong = FirstOrderDataGenerator(lambda batch: t.logits(batch)[1:], output_mode="logits", batch_size=8)
    eager = FirstOrderDataGenerator(lambda batch: t.logits(tf.constant(batch.numpy())), output_mode="logits")
    eager.model.run_eagerly = True
try:
    wrong.generate_distributions(t.INPUTS)
except InvalidOutputError as error:
    print(error)
t.check(eager.generate_distributions(t.INPUTS))
print("eager agrees")

one = FirstOrderDataGenerator(t.logits, device="CPU:1").generate_distributions(t.INPUTS)
t.check(one)
print(one.meta["device"])
with tf.distribute.OneDeviceStrategy("CPU:1").scope():
    print(FirstOrderDataGenerator(t.framework.mlp(t.WEIGHTS)).generate_distributions(t.INPUTS).meta["device"])
"""


def test_strategies_split_every_batch_over_their_replicas():
    printed = python(STRATEGY)
    assert printed[:2] == ["rows agree", "nests agree"]
    assert "expected 8 rows, got 6; return one row per input" in printed[2]
    assert printed[3:] == ["eager agrees", "CPU:1", "CPU:1"]


# Batches or samples


def test_batches_and_samples_are_told_apart_by_the_models_input():
    for model in (framework.mlp(WEIGHTS), built_subclass()):
        for batch_size in (1, 7, 50):
            check(run(model, samples().batch(batch_size)))
            check(run(model, samples(), batch_size=batch_size))
        check(run(model, samples().batch(25, drop_remainder=True)))
        check(run(model, samples().map(lambda value, label: value)))
        check(run(model, samples().batch(8).map(lambda value, label: value)))


def built_subclass():
    model = Subclassed()
    model(INPUTS[:4])
    model.set_weights(list(WEIGHTS))
    return model


def unknown_shapes(dataset):
    """Return a dataset whose specification says nothing, as that of a py_function."""
    return dataset.map(lambda *parts: tuple(tf.numpy_function(lambda x: x, [part], part.dtype) for part in parts))


def test_an_element_tells_where_the_specification_does_not():
    for dataset in (samples(), samples().batch(8)):
        check(run(framework.mlp(WEIGHTS), unknown_shapes(dataset)))


def test_a_label_without_axes_belongs_to_a_sample():
    check(run(logits, samples()))
    check(run(logits, samples(), batch_size=1))


@pytest.mark.parametrize("dataset", ["batches", "inputs", "one-hot"])
def test_what_cannot_be_told_is_refused(dataset):
    made = {
        "batches": samples().batch(8),
        "inputs": tf.data.Dataset.from_tensor_slices(INPUTS),
        "one-hot": tf.data.Dataset.from_tensor_slices((INPUTS, np.eye(3)[LABELS])),
    }[dataset]
    with pytest.raises(ValueError, match=r"cannot tell whether.*declares no input shape.*pass batched="):
        run(logits, made)
    check(run(logits, made, batched=dataset == "batches"))


def test_a_dataset_that_fits_the_model_in_neither_way_is_refused():
    images = tf.data.Dataset.from_tensor_slices(np.zeros((4, 2, 3, 5), np.float32))
    with pytest.raises(ValueError, match=r"declares a sample as .*\(5,\).*yields .*3, 5.*pass batched="):
        run(framework.mlp(WEIGHTS), images)


def test_an_unknown_first_axis_is_no_sample():
    """A batch of numbers for a model that takes samples of one number."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    numbers = tf.data.Dataset.from_tensor_slices(INPUTS[:, 0]).batch(8)
    with pytest.raises(ValueError, match="cannot tell whether"):
        run(model, numbers)
    assert len(run(model, numbers.map(lambda batch: batch[:, None]))) == 50


def test_getters_get_samples_or_batches():
    dataset = tf.data.Dataset.from_tensor_slices({"image": INPUTS / 2, "target": LABELS, "id": np.arange(50)[::-1]})
    options = {"input_getter": lambda item: 2 * item["image"], "index_getter": lambda item: item["id"]}
    for made in (dataset, dataset.batch(8), dataset.shuffle(50), dataset.shuffle(50).batch(8)):
        check(run(framework.mlp(WEIGHTS), made, **options), EXPECTED[::-1])


def test_labels_stay_with_their_rows():
    for dataset in (samples(), samples().batch(8)):
        np.testing.assert_array_equal(run(framework.mlp(WEIGHTS), dataset).labels, LABELS)


@pytest.mark.parametrize(
    ("dataset", "length"),
    [
        (samples(), 50),
        (samples().batch(8), None),
        (samples().batch(8, drop_remainder=True), 48),
        (samples().filter(lambda value, label: label > 0), None),
    ],
)
def test_announced_lengths_count_rows_not_batches(dataset, length):
    model = HOOK.load_model(source=framework.mlp(WEIGHTS), device=None, options={})
    batches = HOOK.iterate_batches(
        dataset=dataset, batch_size=16, input_getter=None, index_getter=None, batched=None, model=model, start=0
    )
    assert batches.length == length
    assert length is None or sum(len(batch.indices) for batch in batches) == length


def test_empty_pipelines():
    empty = samples().take(0)
    for dataset in (empty, empty.batch(8)):
        assert len(run(framework.mlp(WEIGHTS), dataset)) == 0


def test_samples_of_different_shapes_say_what_to_do():
    ragged = tf.data.Dataset.from_generator(
        lambda: (np.zeros((length, 2), np.float32) for length in (3, 3, 4)),
        output_signature=tf.TensorSpec([None, 2]),
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="different shapes") as caught:
        run(lambda batch: tf.reduce_sum(batch, axis=1), ragged, batched=False)
    assert "bring them to one shape" in caught.value.__notes__[0]
    check(run(lambda batch: tf.reduce_sum(batch, axis=1), ragged, batched=False, batch_size=1), np.full((3, 2), 0.5))


# The order of pipelines


def deterministic_off(dataset):
    options = tf.data.Options()
    options.deterministic = False
    return dataset.with_options(options)


UNORDERED = {
    "shuffle": lambda: samples().shuffle(50),
    "shuffle with a seed, once": lambda: samples().shuffle(50, seed=1, reshuffle_each_iteration=False),
    "shuffle, batch, prefetch": lambda: samples().shuffle(50).batch(8).prefetch(2),
    "batches shuffled": lambda: samples().batch(8).shuffle(8),
    "shuffle before a cache": lambda: samples().shuffle(50).cache(),
    "a shuffled part": lambda: samples().take(25).concatenate(samples().skip(25).shuffle(5)),
    "zip": lambda: tf.data.Dataset.zip((samples().shuffle(5), samples())).map(lambda pair, other: pair),
    "options": lambda: deterministic_off(samples()).batch(8),
    "parallel map": lambda: samples().map(lambda *pair: pair, num_parallel_calls=2, deterministic=False),
    "shuffle inside": lambda: tf.data.Dataset.range(2).interleave(lambda _: samples().take(25).shuffle(5)),
    "sampling": lambda: tf.data.Dataset.sample_from_datasets([samples().take(25), samples().skip(25)], [0.5, 0.5]),
}


@pytest.mark.parametrize("kind", UNORDERED)
def test_pipelines_without_order_are_refused(kind):
    with pytest.raises(AlignmentError, match=r"no defined order \(.*\), so its rows have no index.*index_getter"):
        run(framework.mlp(WEIGHTS), UNORDERED[kind]())


def halves(index):
    return samples().skip(25 * index).take(25)


ORDERED = {
    "cache and prefetch": lambda: samples().cache().batch(8).prefetch(2),
    "parallel map": lambda: samples().map(lambda *pair: pair, num_parallel_calls=2),
    "flat map": lambda: tf.data.Dataset.range(2).flat_map(halves),
    "interleave of one": lambda: tf.data.Dataset.range(2).interleave(halves, cycle_length=1, num_parallel_calls=1),
    "choice": lambda: tf.data.Dataset.choose_from_datasets(
        [samples().take(25), samples().skip(25)], tf.data.Dataset.range(50).map(lambda index: index // 25)
    ),
    "random numbers beside": lambda: tf.data.Dataset.zip((samples(), tf.data.Dataset.random(seed=1).take(50))).map(
        lambda pair, number: pair
    ),
    "random operations inside": lambda: samples().map(lambda value, label: (value, tf.random.shuffle([label])[0])),
}


@pytest.mark.parametrize("kind", ORDERED)
def test_pipelines_with_order_are_not(kind):
    check(run(framework.mlp(WEIGHTS), ORDERED[kind]()))


def test_endless_pipelines_are_refused():
    for dataset in (samples().repeat(), samples().batch(8).repeat().prefetch(1)):
        with pytest.raises(ValueError, match=r"never ends; leave out repeat\(\), or cut it with take"):
            run(framework.mlp(WEIGHTS), dataset)
    check(run(framework.mlp(WEIGHTS), samples().repeat(2)), np.vstack([EXPECTED, EXPECTED]))


def test_iterators_are_refused():
    with pytest.raises(TypeError, match=r"expected a tf\.data\.Dataset, got a OwnedIterator made from one"):
        run(framework.mlp(WEIGHTS), iter(samples()))


# Other datasets


class Batches(keras.utils.PyDataset):
    """Keras's own kind of loader."""

    def __init__(self, **attributes):
        super().__init__()
        vars(self).update(attributes)

    def __len__(self):
        return 7

    def __getitem__(self, number):
        part = slice(8 * number, 8 * number + 8)
        return INPUTS[part], LABELS[part]


def test_py_datasets_are_loaders_of_batches():
    rows = run(framework.mlp(WEIGHTS), Batches())
    check(rows)
    np.testing.assert_array_equal(rows.labels, LABELS)
    check(run(framework.mlp(WEIGHTS), Batches(shuffle=False)))


def test_py_datasets_that_shuffle_need_an_index():
    with pytest.raises(AlignmentError, match=r"the Batches shuffles.*shuffle=False, or index_getter"):
        run(framework.mlp(WEIGHTS), Batches(shuffle=True))

    def position(batch):
        return [int(np.argmin(np.abs(INPUTS - value).sum(axis=1))) for value in batch[0]]

    check(run(framework.mlp(WEIGHTS), Batches(shuffle=True), index_getter=position))


def test_py_datasets_without_length_are_refused():
    class Endless(keras.utils.PyDataset):
        num_batches = None

        def __getitem__(self, number):
            return INPUTS, LABELS

    with pytest.raises(ValueError, match="the Endless has no length and never ends; give it __len__"):
        run(framework.mlp(WEIGHTS), Endless())


@pytest.mark.parametrize(
    "dataset",
    [
        INPUTS,
        tf.constant(INPUTS),
        (tf.constant(INPUTS), tf.constant(LABELS)),
        (INPUTS, LABELS.tolist()),
        [(tf.constant(value), int(label)) for value, label in zip(INPUTS, LABELS, strict=True)],
        INPUTS.tolist(),
    ],
    ids=["array", "tensor", "tensors", "array and list", "sequence of tensors", "lists"],
)
def test_arrays_and_sequences(dataset):
    check(run(framework.mlp(WEIGHTS), dataset))


def test_generators():
    check(run(framework.mlp(WEIGHTS), (pair for pair in zip(INPUTS, LABELS, strict=True))))


# Training on soft targets


@pytest.fixture
def distributions():
    return run(framework.mlp(WEIGHTS), samples())


def unbatched_again():
    return samples().batch(8).unbatch()  # of unknown length


KINDS = {
    "pipeline": samples,
    "pipeline of unknown length": unbatched_again,
    "arrays": lambda: (INPUTS, LABELS),
    "tensors": lambda: (tf.constant(INPUTS), tf.constant(LABELS)),
    "sequence": lambda: list(zip(INPUTS, LABELS, strict=True)),
}


def gathered(loader):
    return [np.concatenate(part) for part in zip(*loader.as_numpy_iterator(), strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_output_dataloader(kind, distributions):
    loader = output_dataloader(KINDS[kind](), distributions, batch_size=8)
    assert isinstance(loader, tf.data.Dataset)
    assert len(loader) == 7
    assert [spec.shape.as_list() for spec in loader.element_spec] == [[None, 5], [None], [None, 3]]
    for part, expected in zip(gathered(loader), (INPUTS, LABELS, distributions.probabilities), strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_output_dataloader_shuffles_anew_and_keeps_pairs(kind, distributions):
    orders = []
    for _ in range(2):
        loader = output_dataloader(KINDS[kind](), distributions, batch_size=8, shuffle=True, seed=3)
        for _ in range(2):
            inputs, labels, rows = gathered(loader)
            order = [int(np.argmin(np.abs(INPUTS - value).sum(axis=1))) for value in inputs]
            assert sorted(order) == list(range(50))
            np.testing.assert_array_equal(labels, LABELS[order])
            np.testing.assert_array_equal(rows, distributions.probabilities[order])
            orders.append(order)
    assert orders[0] != orders[1] != list(range(50))
    assert orders[:2] == orders[2:], "a seed makes the orders reproducible"


def test_output_dataloader_reads_memory_maps_batch_by_batch(tmp_path, distributions):
    np.save(tmp_path / "inputs.npy", INPUTS)
    loader = output_dataloader((np.load(tmp_path / "inputs.npy", mmap_mode="r"), LABELS), distributions, batch_size=8)
    np.testing.assert_array_equal(gathered(loader)[0], INPUTS)
    assert "_TensorSliceDataset" not in steps(loader)
    assert "_TensorSliceDataset" in steps(output_dataloader(INPUTS, distributions))


def steps(dataset):
    from probly_data_generator_tensorflow.order import _steps

    return [type(step).__name__ for step in _steps(dataset)]


def test_output_dataloader_trains_a_student(distributions):
    student = framework.mlp(reference.mlp_weights(seed=3))
    student.compile(keras.optimizers.Adam(0.01), keras.losses.CategoricalCrossentropy(from_logits=True))
    pairs = output_dataloader(samples(), distributions, batch_size=8, shuffle=True).map(lambda x, y, row: (x, row))
    before = student.evaluate(pairs, verbose=0)
    student.fit(pairs, epochs=10, shuffle=False, verbose=0)
    assert student.evaluate(pairs, verbose=0) < 0.9 * before


def test_input_getters_and_missing_labels(distributions):
    named = tf.data.Dataset.from_tensor_slices({"image": INPUTS})
    loader = output_dataloader(named, distributions, input_getter=lambda sample: 2 * sample["image"])
    inputs, rows = gathered(loader)
    np.testing.assert_array_equal(inputs, 2 * INPUTS)
    np.testing.assert_array_equal(rows, distributions.probabilities)


def test_output_dataloader_ignores_workers_aloud(distributions):
    with pytest.warns(UserWarning, match="num_workers and pin_memory are ignored: tf.data"):
        output_dataloader(samples(), distributions, num_workers=2)


@pytest.mark.parametrize("make", [FirstOrderDataset, output_dataloader])
def test_pipelines_that_cannot_be_paired(make, distributions):
    with pytest.raises(AlignmentError, match=r"yields 7 elements, but there are 50.*unbatch\(\)"):
        make(samples().batch(8), distributions)
    with pytest.raises(AlignmentError, match="no defined order"):
        make(samples().shuffle(5), distributions)
    with pytest.raises(ValueError, match="never ends"):
        make(samples().repeat(), distributions)


def test_pipelines_with_samples_that_have_no_distribution(distributions):
    with pytest.raises(KeyError, match="No distribution for index 50"):
        output_dataloader(samples().repeat(2), distributions)


def test_first_order_dataset_of_a_pipeline(distributions):
    dataset = FirstOrderDataset(unbatched_again(), distributions)
    value, label, row = dataset[49]
    assert len(dataset) == 50
    np.testing.assert_array_equal(value, INPUTS[49])
    assert label == LABELS[49]
    assert row.dtype == tf.float32
    np.testing.assert_array_equal(row, distributions[49])


def test_empty_soft_targets():
    assert list(output_dataloader([], {}, batch_size=2)) == []
    assert list(output_dataloader(samples().take(0), {}, shuffle=True)) == []


# Bayesian layers


class BayesianDense(keras.layers.Layer):
    """A dense layer with a normal posterior."""

    def build(self, shape):
        self.kernel_mu = self.add_weight(shape=(shape[-1], 3), name="kernel_mu", initializer="ones")
        self.kernel_rho = self.add_weight(shape=(shape[-1], 3), name="kernel_rho", initializer="zeros")
        self.bias_mu = self.add_weight(shape=(3,), name="bias_mu", initializer="zeros")
        self.bias_rho = self.add_weight(shape=(3,), name="bias_rho", initializer="ones")

    def call(self, inputs):
        return inputs @ self.kernel_mu + self.bias_mu


def test_posterior_of_keras_layers():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4), BayesianDense(name="bayes")], name="net")
    posterior = FirstOrderDataGenerator(model).get_posterior_distributions()
    assert set(posterior) == {"bayes"}
    assert set(posterior["bayes"]) == {"mu", "rho", "bias_mu", "bias_rho"}
    assert tf.is_tensor(posterior["bayes"]["mu"])
    model.layers[1].kernel_mu.assign_add(np.ones((4, 3)))
    np.testing.assert_array_equal(posterior["bayes"]["mu"], np.ones((4, 3)))


def test_posterior_of_modules():
    class Layer(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight_mu, self.weight_rho = tf.Variable([1.0, 2.0]), tf.Variable([-3.0, -3.0])

        def __call__(self, inputs):
            return inputs

    class Net(Layer):
        def __init__(self):
            super().__init__()
            self.layers = [Layer(), Layer()]

    net = Net()
    posterior = FirstOrderDataGenerator(net).get_posterior_distributions()
    assert set(posterior) == {"model", "layers.0", "layers.1"}
    net.weight_mu.assign_add([1.0, 1.0])
    assert posterior["model"]["mu"].numpy().tolist() == [1, 2]


def test_posterior_refuses_names_that_occur_twice():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, BayesianDense(name="a")(inputs) + keras.Sequential([BayesianDense(name="a")])(inputs))
    names = [variable.path for variable in model.variables]
    assert len(set(names)) == len(names), "Keras tells these apart by their path"
    assert len(FirstOrderDataGenerator(model).get_posterior_distributions()) == 2

    class Same(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.left, self.right = BayesianDense(name="same"), BayesianDense(name="same")

        def call(self, inputs):
            return self.left(inputs) + self.right(inputs)

    model = Same()
    model(INPUTS[:1])
    with pytest.raises(ValueError, match=r"two variables are called 'same\.kernel_mu'"):
        FirstOrderDataGenerator(model).get_posterior_distributions()


def test_wrong_row_counts_are_refused_in_a_compiled_model():
    with pytest.raises(InvalidOutputError, match="expected 16 rows, got 15"):
        run(lambda batch: logits(batch)[1:], INPUTS, output_mode="logits")
