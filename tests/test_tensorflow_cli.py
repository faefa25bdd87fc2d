"""`first-order` with a file of Keras."""

import keras
import numpy as np
import pytest

from tests.commands import finished
from tests.sessions import SIZE, check_session, folder_of_pictures, generated, softmax


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
