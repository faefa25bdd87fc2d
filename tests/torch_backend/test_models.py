"""Live models, and where they run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from probly.data_generator import FirstOrderDataGenerator
from probly_data_generator_torch import models
from probly_data_generator_torch.backend import recognizes
from probly_data_generator_torch.devices import device_names, resolve_device
from tests.torch_backend.support import OTHER_EXPECTED, TENSORS, build, check, mlp, run

BEST = str(resolve_device(None))


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps", "gpu", "nonsense"])
def test_unavailable_devices_list_the_others(device):
    if torch.cuda.is_available() and device.startswith("cuda"):
        device = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(ValueError, match=f"device '{device}' is not available to torch .*; available: 'cpu'"):
        FirstOrderDataGenerator(build(), device=device, backend="torch")


@pytest.mark.parametrize("device", device_names())
def test_every_device_gives_the_same_rows(device):
    model = mlp()
    distributions = run(TENSORS, model, device=device)
    check(distributions)
    assert distributions.meta["device"] == device
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}, "a copy was moved"
    check(run(TENSORS, mlp().to(device), device=None))
    check(run(TENSORS, mlp().to(device), output_transform=lambda outputs: outputs.softmax(-1)))


class Meta(torch.nn.Module):
    """A module on a device on which nothing can be computed, which is there on every machine."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(5, 3, device="meta")


def test_without_a_device_a_live_model_stays_where_its_weights_are():
    model = Meta()
    for source in (model, model.inner.forward):
        loaded = models.load(source, None)
        assert loaded.device == "meta"
        assert loaded.function is source
    program = torch.export.export(mlp().eval(), (TENSORS[0][:16],))
    assert models.load(program, None).device == "cpu"


def test_without_weights_and_a_device_it_is_the_best_one():
    for source in (torch.nn.Softmax(-1), lambda batch: batch, "tests.torch_backend.support:build"):
        assert models.load(source, None).device == BEST


def test_a_model_elsewhere_is_copied_not_moved(monkeypatch):
    monkeypatch.setattr(models, "resolve_device", torch.device)
    model = build()
    moved = models.load(model, "meta")
    assert moved.device == "meta"
    assert {parameter.device.type for parameter in moved.module.parameters()} == {"meta"}
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    assert models.load(model, "cpu").module is model


def test_a_copy_knows_whether_it_has_the_weights_of_the_live_model(monkeypatch):
    monkeypatch.setattr(models, "resolve_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(models, "_places", lambda module: [torch.device("meta")])
    model = torch.nn.Sequential(mlp(), torch.nn.BatchNorm1d(3))
    for change in (model[0][0].weight, model[1].running_var):
        moved = models.load(model, "cpu")
        assert moved.module is not model
        assert moved.is_current()
        change.data[0] += 1
        assert not moved.is_current()
    assert models.load(model, None).is_current(), "no copy"
    program = torch.export.export(mlp().eval(), (TENSORS[0][:16],))
    monkeypatch.setattr(models, "places", lambda program: [torch.device("meta")])
    moved = models.load(program, "cpu")
    assert moved.is_current()
    program.state_dict["0.weight"].data[0] += 1
    assert not moved.is_current()


def test_a_live_program_elsewhere_is_copied_not_moved(monkeypatch):
    monkeypatch.setattr(models, "resolve_device", torch.device)
    program = torch.export.export(mlp().eval(), (TENSORS[0][:16],))
    assert models.load(program, "meta").function(TENSORS[0][:16].to("meta")).device.type == "meta"
    assert {tensor.device.type for tensor in program.state_dict.values()} == {"cpu"}
    check(run(TENSORS, program))


def test_a_model_that_cannot_be_copied_says_what_to_do(monkeypatch):
    class Locked(torch.nn.Linear):
        def __deepcopy__(self, memo):
            raise RuntimeError("one of its kind")

    monkeypatch.setattr(models, "resolve_device", torch.device)
    with pytest.raises(RuntimeError, match="one of its kind") as caught:
        models.load(Locked(5, 3), "meta")
    assert caught.value.__notes__ == ["the model cannot be copied to meta; move it there yourself: model.to('meta')"]


def test_models_by_import_path():
    check(run(TENSORS, "tests.torch_backend.support:build", output_mode="logits"), expected=OTHER_EXPECTED)


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module"):
        run(TENSORS, 3)


def test_later_runs_see_new_weights():
    model = mlp()
    generator = FirstOrderDataGenerator(model, batch_size=16)
    check(generator.generate_distributions(TENSORS, progress=False))
    model.load_state_dict(build().state_dict())
    check(generator.generate_distributions(TENSORS, progress=False), expected=OTHER_EXPECTED)


class Own(torch.nn.Module):
    """A module of a user."""


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_is_recognized():
    assert recognizes(source=torch.nn.Linear(1, 1)) is torch.nn.Linear
    assert recognizes(source=Own()) is torch.nn.Module
    assert issubclass(recognizes(source=torch.jit.script(torch.nn.ReLU())), torch.nn.Module)
    assert recognizes(source=torch.export.export(torch.nn.ReLU(), (TENSORS[0],))) is torch.export.ExportedProgram
    for other in (lambda batch: batch, {}, "model.pt", 3):
        assert recognizes(source=other) is False
    for name in ("a.pt", "a.pth", "a.pt2", "a.PT2", "a.ts", "a.torchscript", "a.safetensors"):
        assert recognizes(source=Path(name)) is True
    for name in ("a.onnx", "a.keras", "a.h5", "a", "pt", "a.pt.zip"):
        assert recognizes(source=Path(name)) is False


class BayesLinear(torch.nn.Module):
    """Parameters as in probly's layers."""

    def __init__(self):
        super().__init__()
        self.weight_mu = torch.nn.Parameter(torch.randn(3, 5))
        self.weight_rho = torch.nn.Parameter(torch.full((3, 5), -3.0))
        self.bias_mu = torch.nn.Parameter(torch.randn(3))
        self.bias_rho = torch.nn.Parameter(torch.full((3,), -2.0))
        self.register_buffer("weight_prior_mu", torch.zeros(3, 5))

    def forward(self, inputs):
        return inputs @ self.weight_mu.T + self.bias_mu


def test_posterior_of_probly_style_layers(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(5, 5), BayesLinear())
    generator = FirstOrderDataGenerator(model, backend="torch")
    posterior = generator.get_posterior_distributions()
    assert set(posterior) == {"1"}
    assert set(posterior["1"]) == {"mu", "rho", "bias_mu", "bias_rho"}
    assert torch.equal(posterior["1"]["mu"], model[1].weight_mu)
    assert not posterior["1"]["mu"].requires_grad
    torch.save(posterior, tmp_path / "posterior.pt")
    assert torch.equal(torch.load(tmp_path / "posterior.pt")["1"]["bias_rho"], model[1].bias_rho)
    with torch.no_grad():
        model[1].weight_mu.zero_()
    assert posterior["1"]["mu"].abs().sum() > 0, "training on must not change what was returned"


KERAS = """
import keras, numpy as np, torch
from probly.data_generator import FirstOrderDataGenerator

assert keras.config.backend() == "torch"
model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
inputs = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
weight, bias = model.layers[0].get_weights()
logits = inputs @ weight + bias
distributions = FirstOrderDataGenerator(model, batch_size=8).generate_distributions(inputs)
assert distributions.meta["backend"] == "torch", distributions.meta
expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
np.testing.assert_allclose(distributions.probabilities, expected, atol=1e-6)
print("ran on torch")
"""


def test_keras_on_torch_runs_on_torch():
    """In a process of its own: Keras chooses what it runs on once, when it is imported."""
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", KERAS], env=environment, capture_output=True, text=True)
    assert "ran on torch" in done.stdout, done.stderr
