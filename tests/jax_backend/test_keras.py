"""Keras models that run on JAX, and those that do not."""

import json
import sys
from types import SimpleNamespace

import pytest

from tests.jax_backend.runs import HOOK, load, python


def test_keras_models_on_jax():
    lenient = ("-W", "ignore::DeprecationWarning")  # Keras itself earns some
    (line,) = python(*lenient, "-m", "tests.jax_backend.keras_on_jax", KERAS_BACKEND="jax")
    found = json.loads(line)
    assert (found["backend"], found["device"]) == ("jax", "cpu")
    assert found["miss"] <= 1e-6
    assert found["unchanged"]
    assert found["spread after new weights"] <= 1e-6
    assert "no Bayesian layer" in found["refused"]
    assert "first.kernel" in found["refused"]
    members = found["members"]
    assert members["same"]
    assert members["different"]
    assert members["unchanged"]
    assert members["values"] == [0.0, 1.3333]
    assert abs(members["dropped"] - 0.25) < 0.03
    assert members["miss of norm"] < 1e-5
    assert found["posterior"] == {"bayes": ["mu", "rho"]}


@pytest.mark.parametrize("running_on", ["jax", "numpy"])
def test_keras_models_belong_to_jax_where_they_run_on_it(running_on, monkeypatch):
    model_class = type("Model", (), {"__module__": "keras.src.models.model"})
    keras = SimpleNamespace(Model=model_class, backend=SimpleNamespace(backend=lambda: running_on))
    monkeypatch.setitem(sys.modules, "keras", keras)
    assert HOOK.recognizes(source=model_class()) is (model_class if running_on == "jax" else False)
    if running_on != "jax":
        with pytest.raises(TypeError, match="runs on numpy: use backend='numpy', or set KERAS_BACKEND=jax"):
            load(model_class())
