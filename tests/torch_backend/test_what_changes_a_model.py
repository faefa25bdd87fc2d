"""What changes a torch model: each change is refused by a store; what changes nothing is not."""

import copy
import functools
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from probly.data_generator import StoreError
from probly_data_generator_torch.digest import digest_of_model
from tests.torch_backend.support import INPUTS, run

SIZE = INPUTS.shape[1]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


class Everything(torch.nn.Module):
    """A model with a part of each sort."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(SIZE, 4)
        self.norm = torch.nn.BatchNorm1d(4)
        self.register_buffer("shift", torch.zeros(3))
        self.register_buffer("mask", torch.ones(3), persistent=False)
        self.heads = [torch.nn.Linear(4, 3)]  # no ModuleList
        self.temperature = 1.0
        self.activation = torch.tanh
        self.scale = np.ones(3, np.float32)
        self.plain = torch.ones(3)
        self.names = ["a", "b", "c"]
        self.settings = {"bias": [0.5]}
        self.drop = torch.nn.Dropout(0.1)
        self.after = lambda scores: scores * 1.0
        for parameter in [*self.parameters(), *self.heads[0].parameters()]:
            torch.nn.init.constant_(parameter, 0.5)

    def forward(self, rows):
        hidden = self.drop(self.activation(self.norm(self.first(rows))))
        scores = (self.heads[0](hidden) + self.shift) * self.mask * torch.tensor(self.scale) * self.plain
        order = [self.names.index(name) for name in sorted(self.names)]
        return self.after(scores[:, order] / self.temperature + self.settings["bias"][0] * torch.arange(3))


class Louder(torch.nn.Tanh):
    """Another layer without a parameter."""


def changed(change):
    model = Everything()
    with torch.no_grad():
        change(model)
    return model


CHANGES = {
    "a weight": lambda model: model.first.weight[0, 0].add_(0.25),
    "a running mean": lambda model: model.norm.running_mean.add_(0.5),
    "a buffer": lambda model: model.shift[1].add_(1),
    "a buffer that is not saved": lambda model: model.mask[1].add_(1),
    "a temperature": lambda model: setattr(model, "temperature", 2.0),
    "an activation": lambda model: setattr(model, "activation", torch.sigmoid),
    "an activation that is a layer": lambda model: setattr(model, "activation", Louder()),
    "a module in a list": lambda model: model.heads[0].bias[0].add_(1),
    "an array": lambda model: model.scale.__setitem__(0, 2.0),
    "a tensor that is no buffer": lambda model: model.plain[0].add_(1),
    "text": lambda model: model.names.reverse(),
    "a number in a dict in a list": lambda model: model.settings["bias"].__setitem__(0, 0.75),
    "a function": lambda model: setattr(model, "after", lambda scores: scores * 2.0),
    "a setting of a layer": lambda model: setattr(model.norm, "eps", 0.5),
    "a dtype": lambda model: model.heads[0].double().float() and model.first.bfloat16().float().weight.add_(2**-9),
    "a hook": lambda model: model.register_forward_hook(lambda module, rows, scores: -scores),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.fod"
    run(INPUTS, Everything(), out=path)
    return path


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_refused(stored, change):
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(INPUTS, changed(CHANGES[change]), out=stored)


@pytest.mark.parametrize(
    "same",
    [
        Everything, lambda: Everything().train(), lambda: Everything().eval(), lambda: copy.deepcopy(Everything()),
        lambda: Everything().forward, lambda: Everything().requires_grad_(requires_grad=False),
        lambda: Everything().to(memory_format=torch.channels_last),
    ],
)  # fmt: skip
def test_what_changes_nothing_is_not(same):
    assert digest_of_model(same()) == digest_of_model(Everything())


def net(seed=0, activation=torch.nn.ReLU):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(SIZE, 4), activation(), torch.nn.Linear(4, 3)).eval()


class Halved(torch.nn.Module):
    """A model whose number is neither a weight nor a layer, and which has two ways through it."""

    def __init__(self, by=2.0):
        super().__init__()
        self.layer, self.by = net(), by

    def forward(self, rows):
        if rows.sum() > 1e9:
            return self.layer(rows) * 3.0
        return self.layer(rows) / self.by


def quantised(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch moves this to another package
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})


scripted, frozen = torch.jit.script, torch.jit.freeze


def traced(model):
    return torch.jit.trace(model, torch.zeros(2, SIZE))


KINDS = {
    "scripted": scripted,
    "frozen": lambda model: frozen(scripted(model)),
    "traced": traced,
    "traced and frozen": lambda model: frozen(traced(model)),
    "exported": lambda model: torch.export.export(model, (torch.zeros(2, SIZE),)).module(),
    "symbolic": torch.fx.symbolic_trace,
    "quantised": quantised,
    "quantised and scripted": lambda model: scripted(quantised(model)),
    "compiled": torch.compile,
    "partial": lambda model: functools.partial(torch.func.functional_call, model, dict(model.named_parameters())),
    "closure": lambda model: lambda rows: model(rows) * 1.0,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_is_known_by_its_weights_and_its_operations(kind):
    make = KINDS[kind]
    first = digest_of_model(make(net()))
    assert first.startswith("sha256:")
    assert digest_of_model(make(net())) == first
    assert len({first, digest_of_model(make(net(1))), digest_of_model(make(net(0, torch.nn.Tanh)))}) == 3


@pytest.mark.parametrize("kind", ["scripted", "frozen"])
def test_numbers_of_torchscript_count(kind):
    make = KINDS[kind]
    first = digest_of_model(make(Halved().eval()))
    assert digest_of_model(make(Halved().eval())) == first
    assert digest_of_model(copy.deepcopy(make(Halved().eval()))) == first
    assert digest_of_model(make(Halved(3.0).eval())) != first


def test_packed_and_sparse_weights_are_seen():
    class Holds(torch.nn.Module):
        def __init__(self, tensor):
            super().__init__()
            self.tensor = tensor

    ones = torch.ones(2, 2)
    per_channel = functools.partial(torch.quantize_per_channel, zero_points=torch.zeros(2), axis=0, dtype=torch.qint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors = [
            ones, ones * 2, ones.to_sparse(), (ones * 2).to_sparse(), ones.to_sparse_csr(), (ones * 2).to_sparse_csr(),
            torch.quantize_per_tensor(ones, 0.5, 0, torch.qint8), torch.quantize_per_tensor(ones, 0.25, 0, torch.qint8),
            per_channel(ones, torch.ones(2)), per_channel(ones * 2, torch.ones(2)), ones.bfloat16(), ones.int(),
        ]  # fmt: skip
        digests = [digest_of_model(Holds(tensor)) for tensor in tensors]
    assert len(set(digests)) == len(tensors)


ELSEWHERE = """
import torch
from tests.torch_backend.test_what_changes_a_model import *
for _ in range(12):
    scripted(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()))  # torch counts what it has compiled
print(*(digest_of_model(KINDS[kind](net())) for kind in KINDS if kind != "closure"), digest_of_model(Everything()))
"""


def test_digests_are_the_same_in_another_process():
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    ours = [digest_of_model(KINDS[kind](net())) for kind in KINDS if kind != "closure"]
    assert done.stdout == " ".join([*ours, digest_of_model(Everything())]) + "\n"


def test_a_file_that_is_replaced_by_another_model_is_refused(tmp_path):
    path = tmp_path / "teacher.pt"
    for seed in (1, 2):
        torch.jit.save(frozen(scripted(net(seed))), path)
        if seed == 1:
            run(INPUTS, path, out=tmp_path / "a.fod", options={"trust": True})
            run(INPUTS, path, out=tmp_path / "a.fod", options={"trust": True})
    with pytest.raises(StoreError, match="model digest"):
        run(INPUTS, path, out=tmp_path / "a.fod", options={"trust": True})
