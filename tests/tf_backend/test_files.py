"""Files of models: Keras's own, and SavedModel folders, which want trust."""

import shutil
import zipfile
from pathlib import Path

import h5py
import keras
import pytest
import tensorflow as tf

from probly.data_generator import FirstOrderDataGenerator as AutoGenerator
from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.tf_backend.mlp import INPUTS, WEIGHTS, Module, Subclassed, check, digest, keras_model, logits, run, samples

# Keras calls NumPy with copy=..., which TensorFlow's tensors do not know yet.
TRUSTED = {"trust": True}
KERAS_COPIES = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@KERAS_COPIES
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keras_files(tmp_path, suffix):
    keras_model().save(tmp_path / f"model{suffix}")
    check(run(tmp_path / f"model{suffix}", samples()))
    check(run(str(tmp_path / f"model{suffix}"), samples().batch(7)))


@KERAS_COPIES
def test_files_choose_their_backend(tmp_path):
    keras_model().save(tmp_path / "model.keras")
    tf.saved_model.save(Module(), str(tmp_path / "folder"))
    for name in ("model.keras", "folder"):
        generator = AutoGenerator(str(tmp_path / name), options=TRUSTED)
        assert generator.framework == "tensorflow"
        check(generator.generate_distributions(INPUTS, progress=False))
        assert generator.current_device == "CPU:0"


@KERAS_COPIES
def test_digests_tell_files_from_others(tmp_path):
    keras_model().save(tmp_path / "model.keras")
    assert digest(tmp_path / "model.keras") == digest(keras_model())
    for name, factor in (("one", 1.0), ("two", 2.0)):
        constant = tf.function(lambda inputs, factor=factor: factor * inputs)
        module = tf.Module()
        module.serve = constant.get_concrete_function(ANY_ROWS)
        tf.saved_model.save(module, str(tmp_path / name), signatures=module.serve)
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    one, copy, two = (digest(tmp_path / name, options=TRUSTED) for name in ("one", "copy", "two"))
    assert one == copy != two, "also without variables"


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
        keras_model().export(folder, verbose=False)
    else:
        tf.saved_model.save(Module(), folder, signatures={} if kind == "call" else None)
    dataset = samples().batch(7)
    check(run(tmp_path / "model", dataset, batched=True if kind == "call" else None, options=TRUSTED))


def test_saved_models_with_several_inputs(tmp_path):
    class Two(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 5], name="a"), tf.TensorSpec([None, 5], name="b")])
        def predict(self, a, b):
            return {"logits": a - b, "other": a}

    module = Two()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.predict)
    inputs = {"a": INPUTS, "b": INPUTS[::-1]}
    check(run(tmp_path / "model", inputs, options=TRUSTED), reference.softmax(INPUTS - INPUTS[::-1]))
    with pytest.raises(TypeError, match=r"inputs \['a', 'b'\]; expected a mapping"):
        run(tmp_path / "model", INPUTS, options=TRUSTED)


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
    check(run(tmp_path / "model", INPUTS, output_mode="logits", options=TRUSTED))


@pytest.mark.parametrize("kind", [Positional, Keyword, AlwaysTraining])
@pytest.mark.parametrize("signatures", [{}, None], ids=["call", "signature"])
def test_saved_models_that_can_only_train_are_refused(tmp_path, kind, signatures):
    module = kind()
    if kind is not AlwaysTraining:
        module.__call__.get_concrete_function(ANY_ROWS, training=True)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=signatures)
    with pytest.raises(ValueError, match=r"model: the model was saved in training mode.*training=False before"):
        FirstOrderDataGenerator(tmp_path / "model", options=TRUSTED)


def test_saved_models_with_a_signature_that_does_not_train(tmp_path):
    module = Positional()
    module.__call__.get_concrete_function(ANY_ROWS, training=True)
    serve = tf.function(lambda inputs: module(inputs, training=False), input_signature=[ANY_ROWS])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=serve.get_concrete_function())
    check(run(tmp_path / "model", INPUTS, output_mode="logits", options=TRUSTED))


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
    with pytest.raises(ValueError, match=r"model\..*Lambda.*options=\{'trust': True\}"):
        FirstOrderDataGenerator(tmp_path / f"model{suffix}")


def empty_folder(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "make", "error", "message"),
    [
        ("model.keras", lambda path: None, FileNotFoundError, "there is no such model file"),
        ("model.weights.h5", Path.touch, ValueError, "holds weights, not a model"),
        ("model.pb", Path.touch, ValueError, r"expected a .keras or .h5 file or a SavedModel folder, got .*'.pb'"),
        ("folder", empty_folder, ValueError, "SavedModel folder, got a folder without saved_model.pb"),
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
