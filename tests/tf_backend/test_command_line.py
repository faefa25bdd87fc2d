"""`first-order` with a file of Keras."""

import keras
import numpy as np
import pytest

from tests.command_line.commands import finished
from tests.command_line.commands import shell as shell  # noqa: PLC0414  # a fixture is found by its name
from tests.command_line.sessions import SIZE, check_session, folder_of_pictures, generated, softmax


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # of Keras
def test_a_file_of_keras(tmp_path):
    pixels = folder_of_pictures(tmp_path / "pets")
    layers = [keras.Input((SIZE, SIZE, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    model.save(tmp_path / "model.keras")
    result = generated(tmp_path, "tensorflow", "model.keras")
    assert result["data"]["pictures"].endswith("(height, width, channels)")
    check_session(tmp_path, softmax(np.asarray(model(pixels))))
    words = ["generate", "--backend", "tensorflow", "--model", "model.keras", "--weights", "model.keras"]
    error = finished(tmp_path, *words, "--data", "pets", "--out", "a.fod", code=2).stderr
    assert "if this backend takes no --weights" in error
    error = finished(tmp_path, "generate", "--model", "model.keras", "--data", "pets", "--out", "a.fod", code=2).stderr
    assert "a file does not tell its framework" in error


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
@pytest.mark.parametrize("content", [b"", b"no model"], ids=["empty", "text"])
def test_a_file_that_is_no_model_of_keras_is_named(shell, name, content):
    np.savez("data.npz", inputs=np.zeros((4, 2), np.float32))
    (shell.folder / name).write_bytes(content)
    message = shell.fails(f"generate --backend tensorflow --model {name} --data data.npz --out a.fod")
    assert f"{name}: is no Keras model, or is damaged" in message
