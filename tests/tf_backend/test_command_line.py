"""`first-order` with a file of Keras."""

import keras
import numpy as np
import pytest

from probly.data_generator.store import open_store
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name
from tests.command_line.sessions import CLASSES, SIZE, folder_of_pictures, softmax


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # of Keras
def test_a_file_of_keras_tells_its_backend_and_gets_its_channels_last(shell):
    pixels = folder_of_pictures(shell.folder / "pets")
    layers = [keras.Input((SIZE, SIZE, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    model.save(shell.folder / "model.keras")
    result = shell.json("generate --model model.keras --data pets --out teacher.fod")
    assert result["data"]["pictures"].endswith("(height, width, channels)")
    store = open_store(shell.folder / "teacher.fod")
    assert store.meta["backend"] == "tensorflow"
    assert store.class_names == list(CLASSES)
    np.testing.assert_allclose(np.asarray(store), softmax(np.asarray(model(pixels))), rtol=0, atol=1e-6)
    words = "generate --backend tensorflow --model model.keras --weights model.keras --data pets --out a.fod"
    assert "if this backend takes no --weights" in shell.fails(words)


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
@pytest.mark.parametrize("content", [b"", b"no model"], ids=["empty", "text"])
def test_a_file_that_is_no_model_of_keras_is_named(shell, name, content):
    np.savez("data.npz", inputs=np.zeros((4, 2), np.float32))
    (shell.folder / name).write_bytes(content)
    message = shell.fails(f"generate --model {name} --data data.npz --out a.fod")
    assert f"{name}: is no Keras model, or is damaged" in message
