"""Crafted files: none runs code unless the user trusts it, and those that are refused would."""

import contextlib
import json
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator.tensorflow_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from probly_data_generator_tensorflow import files
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name
from tests.tf_backend.mlp import EXPECTED, INPUTS, Module, check, keras_model, logits, run

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"  # Keras and TensorFlow's tensors
)

TRUSTED = {"trust": True}
HOW = r"so it was not opened; if you trust .* options=\{'trust': True\}, or --trust-model on the command line"


class Writes(tf.saved_model.experimental.TrackableResource):
    """A resource that writes a file when it is initialised, which is when its SavedModel is opened."""

    def __init__(self, path):
        super().__init__()
        self.path = str(path)
        self._resource_handle = self._create_resource()

    @tf.function(input_signature=[])
    def _create_resource(self):
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[])

    @tf.function(input_signature=[])
    def _initialize(self):
        tf.io.write_file(self.path, "x")
        return 1


def saved_model(folder, canary, name="bad"):
    module = Module()
    module.resource = Writes(canary)
    tf.saved_model.save(module, str(folder / name))
    return folder / name


def lambda_model(canary):
    path = str(canary)
    write = lambda inputs: (__import__("pathlib").Path(path).touch(), inputs)[1]  # noqa: E731  # Keras stores its code
    return keras.Sequential([keras.Input((5,)), keras.layers.Lambda(write), keras.layers.Dense(3)])


def keras_lambda(folder, canary):
    lambda_model(canary).save(folder / "bad.keras")
    return folder / "bad.keras"


def h5_lambda(folder, canary):
    lambda_model(canary).save(folder / "bad.h5")
    return folder / "bad.h5"


def with_saved_model_layer(folder, canary):
    saved_model(folder, canary, "inner")
    layers = [keras.Input((5,)), keras.layers.TFSMLayer(str(folder / "inner"), call_endpoint="serving_default")]
    keras.Sequential(layers).save(folder / "bad.keras")
    return folder / "bad.keras"


CRAFTED = [
    (saved_model, "a SavedModel is a program"),
    (keras_lambda, "run code or functions"),
    (h5_lambda, "run code or functions"),
    (with_saved_model_layer, "open other files"),
]


@pytest.mark.parametrize(("craft", "says"), CRAFTED, ids=[craft.__name__ for craft, _ in CRAFTED])
def test_crafted_files_run_no_code_unless_they_are_trusted(tmp_path, craft, says):
    canary = tmp_path / "canary"
    path = craft(tmp_path, canary)
    canary.unlink(missing_ok=True)
    for source in (path, str(path)):
        with pytest.raises(ValueError, match=rf"{path.name}: .*{says}.*{HOW}"):
            FirstOrderDataGenerator(source)
    assert not canary.exists()
    # It would have: what is refused here is no harmless file.
    with contextlib.suppress(Exception):
        FirstOrderDataGenerator(path, options=TRUSTED)
    assert canary.exists()


def with_config(source, target, change):
    """Copy a .keras file with another configuration."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config["config"]["layers"][1])
                content = json.dumps(config)
            new.writestr(name, content)
    return target


def of_a_module(layer):
    layer.update({"module": "evil_module", "class_name": "Layer", "registered_name": None})


def of_a_module_that_is_called_a_function(layer):
    function = {"module": "evil_module", "class_name": "function", "config": "write", "registered_name": "write"}
    layer.update({"module": "keras.layers", "class_name": "Lambda", "registered_name": None})
    layer["config"] = {"name": "evil", "function": function, "arguments": {}}


def of_an_activation(layer):
    layer["config"]["activation"] = {
        "module": "evil_module",
        "class_name": "function",
        "config": "write",
        "registered_name": "write",
    }


def of_a_function_that_switches_the_safe_mode_off(layer):
    function = {"module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization"}
    layer.update({"module": "keras.layers", "class_name": "Lambda", "registered_name": None})
    layer["config"] = {"name": "evil", "function": {**function, "registered_name": "function"}, "arguments": {}}


@pytest.mark.parametrize(
    "change",
    [
        of_a_module,
        of_a_module_that_is_called_a_function,
        of_an_activation,
        of_a_function_that_switches_the_safe_mode_off,
    ],
)
def test_custom_objects_that_a_file_names_are_not_imported(tmp_path, monkeypatch, change):
    canary = tmp_path / "canary"
    touch = f"import pathlib\ndef write(*_):\n    pathlib.Path({str(canary)!r}).touch()\nwrite()\nclass Layer: pass\n"
    (tmp_path / "evil_module.py").write_text(touch)
    monkeypatch.syspath_prepend(tmp_path)
    keras_model().save(tmp_path / "good.keras")
    path = with_config(tmp_path / "good.keras", tmp_path / "bad.keras", change)
    with pytest.raises((ValueError, TypeError)):
        FirstOrderDataGenerator(path)
    assert not canary.exists()
    assert "evil_module" not in sys.modules
    keras_lambda(tmp_path, canary)
    canary.unlink(missing_ok=True)
    with pytest.raises(ValueError, match=HOW):
        FirstOrderDataGenerator(tmp_path / "bad.keras")
    assert not canary.exists(), "Keras's safe mode was switched off"


def test_custom_objects_of_h5_files_are_not_imported(tmp_path, monkeypatch):
    canary = tmp_path / "canary"
    (tmp_path / "evil_module.py").write_text(f"open({str(canary)!r}, 'w')\nclass Layer: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    keras_model().save(tmp_path / "bad.h5")
    with h5py.File(tmp_path / "bad.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        of_a_module(config["config"]["layers"][1])
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises((ValueError, TypeError)):
        FirstOrderDataGenerator(tmp_path / "bad.h5")
    assert not canary.exists()


def write_a_picture(layer, canary):
    """Let a function of Keras, which its safe mode does not know, write a file."""
    function = {"module": "keras.visualization", "class_name": "function", "config": "plot_image_gallery"}
    pictures = {"class_name": "__numpy__", "config": {"value": np.zeros((1, 4, 4, 3)).tolist(), "dtype": "uint8"}}
    layer.update({"module": "keras.layers", "class_name": "Lambda", "registered_name": None})
    layer["config"] = {"name": "evil", "function": function, "arguments": {"path": str(canary), "rows": 1, "cols": 1}}
    layer["inbound_nodes"] = [{"args": [], "kwargs": {"inputs": pictures}}]


def call_without_saying_function(layer, canary):
    write_a_picture(layer, canary)
    layer["config"]["function"] = {"module": "keras.visualization", "class_name": "plot_image_gallery", "config": {}}


def call_by_another_path(layer, canary):
    write_a_picture(layer, canary)
    function = {"module": "keras", "class_name": "function", "config": "visualization.plot_image_gallery"}
    layer["config"]["function"] = function


@pytest.mark.parametrize("change", [write_a_picture, call_without_saying_function, call_by_another_path])
def test_functions_of_keras_that_do_more_than_compute_want_trust(tmp_path, change):
    canary, inputs = tmp_path / "canary.png", keras.Input((5,))
    keras.Model(inputs, keras.layers.Dense(3, name="evil")(inputs)).save(tmp_path / "good.keras")
    path = with_config(tmp_path / "good.keras", tmp_path / "bad.keras", lambda layer: change(layer, canary))
    with pytest.raises(ValueError, match=rf"bad\.keras: .*functions that it names.*{HOW}"):
        FirstOrderDataGenerator(path)
    assert not canary.exists()
    with contextlib.suppress(Exception):
        FirstOrderDataGenerator(path, options=TRUSTED)
    assert canary.exists()


def test_functions_of_keras_that_compute_need_no_trust(tmp_path):
    layers = keras.layers
    stack = [
        keras.Input((5,)),
        layers.Lambda(keras.activations.softsign),
        layers.Dense(4, activation=keras.activations.softplus, kernel_initializer=keras.initializers.orthogonal),
        layers.Dense(3, activation="gelu", kernel_regularizer="l2", kernel_constraint="non_neg"),
        layers.Activation(keras.ops.tanh),
    ]
    model = keras.Sequential(stack)
    for name in ("model.keras", "model.h5"):
        if name.endswith("h5"):
            model = keras.Sequential([stack[0], *stack[2:4]])
        model.save(tmp_path / name)
        expected = reference.softmax(np.asarray(model(INPUTS)))
        check(run(tmp_path / name, INPUTS, output_mode="logits"), expected)


@pytest.mark.filterwarnings("ignore:Skipping:UserWarning")  # Keras says so
def test_foreign_members_of_a_keras_file_are_written_nowhere(tmp_path):
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "model.keras"
    keras_model().save(path)
    before = {*tmp_path.rglob("*")}
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../evil", "assets/../../evil", str(tmp_path / "evil"), "evil.pkl", "config.json.bak"):
            archive.writestr(name, "evil")
        link = zipfile.ZipInfo("assets/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(tmp_path))
    check(run(path, INPUTS, output_mode="logits"))
    assert {*tmp_path.rglob("*")} == before


def test_a_vocabulary_outside_of_a_keras_file_is_not_read(tmp_path):
    (tmp_path / "secret").write_text("secret\n")
    lookup = keras.layers.StringLookup(vocabulary=["a"], output_mode="one_hot")
    keras.Sequential([keras.Input((1,), dtype="string"), lookup]).save(tmp_path / "good.keras")

    def change(layer):
        layer["config"]["vocabulary"] = str(tmp_path / "secret")

    path = with_config(tmp_path / "good.keras", tmp_path / "bad.keras", change)
    with pytest.raises(ValueError, match=rf"bad\.keras: .*a vocabulary.*{HOW}"):
        FirstOrderDataGenerator(path)


@pytest.mark.parametrize("kind", ["link", "storage", "virtual"])
def test_weights_of_another_file_are_not_read(tmp_path, kind):
    keras_model().save(tmp_path / "bad.h5")
    np.zeros((5, 16), np.float32).tofile(tmp_path / "secret")
    with h5py.File(tmp_path / "secret.h5", "w") as secret, h5py.File(tmp_path / "bad.h5", "r+") as file:
        found = []
        file.visit(lambda name: found.append(name) if name.endswith("kernel") else None)
        kernel = next(name for name in found if file[name].shape == (5, 16))
        secret["kernel"] = np.asarray(file[kernel])
        del file[kernel]
        if kind == "link":
            file[kernel] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "kernel")
        elif kind == "storage":
            file.create_dataset(kernel, (5, 16), "f4", external=[(str(tmp_path / "secret"), 0, 320)])
        else:
            layout = h5py.VirtualLayout((5, 16), "f4")
            layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "kernel", (5, 16))
            file.create_virtual_dataset(kernel, layout)
    with pytest.raises(ValueError, match=rf"bad\.h5: .*open other files.*{HOW}"):
        FirstOrderDataGenerator(tmp_path / "bad.h5")


def test_files_of_keras_2_want_trust(tmp_path, monkeypatch):
    """Its reader has no safe mode for .h5, and imports what a .keras file names."""
    keras_model().save(tmp_path / "model.keras")
    monkeypatch.setattr(tf.keras.Model, "__module__", "tf_keras.src.engine.training")
    with pytest.raises(ValueError, match=rf"model\.keras: Keras 2 .*{HOW}"):
        files.keras_model(tmp_path / "model.keras")


def test_trusted_files_give_their_rows(tmp_path):
    tf.saved_model.save(Module(), str(tmp_path / "folder"))
    keras.Sequential([keras.Input((5,)), keras.layers.Lambda(lambda x: 2 * x)]).save(tmp_path / "model.keras")
    for name, expected in (("folder", EXPECTED), ("model.keras", reference.softmax(2 * INPUTS))):
        distributions = run(tmp_path / name, INPUTS, output_mode="logits", options=TRUSTED)
        check(distributions, expected)
        assert "options" not in distributions.meta


def test_live_models_and_files_without_code_need_no_trust(tmp_path):
    keras_model().save(tmp_path / "model.keras")
    for source in (Module(), lambda_model(tmp_path / "canary"), logits, tmp_path / "model.keras"):
        rows = [run(source, INPUTS, output_mode="logits", options=options).probabilities for options in ({}, TRUSTED)]
        np.testing.assert_array_equal(*rows)


def test_the_command_line_says_how_to_trust(shell):
    tf.saved_model.save(Module(), "folder")
    np.savez("data.npz", inputs=INPUTS)
    line = "generate --model folder --data data.npz --out a.fod --output-mode logits"
    assert "--trust-model" in shell.fails(line)
    assert "options" not in shell.json(f"{line} --trust-model")["meta"]
