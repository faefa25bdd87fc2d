"""A model that keeps a state from batch to batch begins each run with the same, and has it back afterwards."""

import io
import json
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly_data_generator_torch.state import _KEPT, begin, end

INPUTS = torch.arange(24, dtype=torch.float32).reshape(8, 3) / 10


class Buffers(torch.nn.Module):
    """Keeps its state in a buffer that it writes to, in one that it replaces, and in plain attributes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("written", torch.zeros(3))
        self.register_buffer("replaced", torch.zeros(3))
        self.hidden = torch.zeros(3)
        self.steps = 0

    def forward(self, inputs):
        self.written += inputs.mean(0)
        self.replaced = self.replaced + 1
        self.hidden = 0.5 * self.hidden + inputs.amax(0)
        self.steps += 1
        return inputs * self.written + self.hidden + self.replaced * float(self.steps)


class Lazy(torch.nn.Module):
    """Makes its state with the first batch, as recurrent models do."""

    def __init__(self):
        super().__init__()
        self.cell, self.hidden = torch.nn.LSTM(3, 3, batch_first=True), None

    def forward(self, inputs):
        outputs, self.hidden = self.cell(inputs[:, None], self.hidden)
        return outputs[:, 0]


class Listed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.states, self.named, self.seen = [torch.zeros(3)], {"a": torch.ones(3)}, []

    def forward(self, inputs):
        self.states[0] = self.states[0] + inputs.sum(0)
        self.named["a"] = self.named["a"] * 0.5
        self.seen.append(inputs)
        return inputs + self.states[0] * self.named["a"]


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own advice; the models are still around
        content = io.BytesIO()
        torch.jit.save(torch.jit.script(Buffers()), content)
        content.seek(0)
        return torch.jit.load(content)


MODELS = {
    "buffers": Buffers,
    "lazy": Lazy,
    "lists": Listed,
    "inside": lambda: torch.nn.Sequential(Buffers(), torch.nn.Linear(3, 3), Lazy()),
    "script": scripted,
}


def one_by_one(model):
    """Return what the model says to batches of two, one after the other."""
    with torch.no_grad():
        return torch.cat([model(part) for part in INPUTS.split(2)]).softmax(-1).numpy()


def run(model, **options):
    generator = FirstOrderDataGenerator(model, device="cpu", batch_size=2, output_mode="logits", **options)
    return generator.generate_distributions(INPUTS, progress=False).probabilities


def copied_state(model):
    kept = [getattr(part, "hidden", None) for part in model.modules()]
    tensors = [value.clone() for value in (*model.buffers(), *kept) if isinstance(value, torch.Tensor)]
    return tensors, [getattr(part, "steps", None) for part in model.modules()], sum(value is None for value in kept)


@pytest.mark.parametrize("kind", MODELS)
def test_each_run_begins_with_the_same_state_and_gives_it_back(kind):
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    before = copied_state(model)
    rows = [run(model), run(model)]
    after = copied_state(model)
    assert all(map(torch.equal, before[0], after[0]))
    assert len(before[0]) == len(after[0])
    assert before[1:] == after[1:]
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_allclose(rows[0], one_by_one(model), atol=1e-6)


def test_a_run_begins_with_the_state_that_it_finds():
    model = Buffers()
    first = one_by_one(model)
    found = model.hidden.clone()
    rows = run(model)
    assert torch.equal(model.hidden, found)
    assert np.abs(rows - first).max() > 1e-3
    np.testing.assert_allclose(rows, one_by_one(model), atol=1e-6)


def test_the_state_is_given_back_after_an_error():
    class Fails(Buffers):
        def forward(self, inputs):
            super().forward(inputs)
            raise ZeroDivisionError("the model's own")

    model = Fails()
    with pytest.raises(ZeroDivisionError, match="the model's own"):
        run(model)
    assert copied_state(model)[1] == [0]
    assert not model.written.any()
    assert not _KEPT


def test_what_a_model_counts_and_collects_may_be_read_after_a_run():
    class Counts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.calls, self.features = 0, []

        def forward(self, inputs):
            self.calls += 1
            self.features.append(inputs.sum(-1))
            return inputs

    model = Counts()
    run(model)
    assert model.calls == len(model.features) == 4


def test_the_last_of_several_runs_gives_back():
    model = Buffers()
    entered, others = begin(list(model.modules())), []
    thread = threading.Thread(target=lambda: others.append(run(model)))
    thread.start()
    thread.join()
    assert model.steps == 4
    end(entered)
    assert model.steps == 0
    assert not _KEPT


def test_a_tensor_too_large_for_a_copy_is_said_to_be_another(monkeypatch):
    monkeypatch.setattr("probly_data_generator_torch.state._LARGEST", 2)
    with pytest.warns(UserWarning, match=r"could not be given back: Buffers wrote to a tensor of the shape \(3,\)"):
        run(Buffers())


class Caching(torch.nn.Module):
    """Makes a tensor with the first batch, and keeps it for good: that is no state."""

    def __init__(self):
        super().__init__()
        self.mask, self.calls = None, 0

    def forward(self, inputs):
        self.calls += 1
        if self.mask is None:
            self.mask = torch.ones(3)
        return inputs * self.mask


@pytest.mark.parametrize("kind", ["buffers", "lazy", "lists", "caching"])
def test_a_run_that_does_not_begin_with_the_first_row_says_that_there_is_a_state(kind):
    model = (MODELS | {"caching": Caching})[kind]().eval()
    hook = load_backend(find_backend("torch")).hook
    loaded = hook.load_model(source=model, device="cpu", options={})
    nothing = dict.fromkeys(("input_getter", "label_getter", "index_getter", "batched", "stop"))
    batches = hook.iterate_batches(dataset=INPUTS, batch_size=2, model=loaded, start=2, **nothing)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for batch in batches:
            hook.forward(model=loaded, inputs=batch.inputs, batch_size=2)
    found = [str(one.message) for one in said if "keeps a state" in str(one.message)]
    assert len(found) == (kind != "caching")


def test_a_stateful_keras_model_on_torch():
    program = [sys.executable, "-W", "ignore", "-m", "tests.torch_backend.keras_state"]
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run(program, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout) == {
        "backend": "torch",
        "same": True,
        "left": 0.0,
        "miss": pytest.approx(0, abs=1e-6),
    }


def test_what_is_written_by_way_of_data_is_given_back():
    class Noisy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("noise", torch.zeros(2))

        def forward(self, inputs):
            self.noise.data.normal_()  # as the Bayesian layers of blitz do
            return inputs + 0 * self.noise

    model = Noisy()
    FirstOrderDataGenerator(model, output_mode="logits").generate_distributions(torch.zeros(4, 2), progress=False)
    assert model.noise.tolist() == [0, 0]
