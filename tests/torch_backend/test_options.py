"""What torch users may ask for by name, and what stays as it was."""

import functools

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from probly.data_generator import FirstOrderDataGenerator, StoreError
from probly.data_generator.testing import reference
from tests.torch_backend.support import EXPECTED, INPUTS, LABELS, check, framework, mlp

CNN_WEIGHTS = reference.cnn_weights()
IMAGES, _ = reference.samples(rows=20, shape=(8, 8, 1))
CNN_EXPECTED = reference.softmax(reference.cnn_logits(CNN_WEIGHTS, IMAGES))


def generator(options, model=None, **others):
    model = mlp() if model is None else model
    settings = {"backend": "torch", "batch_size": 16, "output_mode": "logits", **others}
    return FirstOrderDataGenerator(model, options=options, **settings)


def run(options, dataset=(INPUTS, LABELS), model=None, **others):
    return generator(options, model, **others).generate_distributions(dataset, progress=False)


@pytest.fixture
def without_compiler(monkeypatch):
    """Trace and compile as always, but let torch's own operations run the graph, which needs no C++ compiler."""
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    yield
    torch._dynamo.reset()


def test_unknown_options_and_values_are_refused():
    with pytest.raises(ValueError, match="unknown option 'autocats'; known: autocast, channels_last, compile, num_w"):
        generator({"autocats": "bfloat16"})
    with pytest.raises(ValueError, match="option 'autocast': expected one of None, 'bfloat16', 'float16', got 'int8'"):
        generator({"autocast": "int8"})
    with pytest.raises(ValueError, match="option 'compile': expected one of False, True, got 1"):
        generator({"compile": 1})
    with pytest.raises(ValueError, match=r"option 'num_workers': expected one of range\(0, 1025\), got -1"):
        generator({"num_workers": -1})


def test_options_are_refused_where_nobody_would_see_them():
    with pytest.raises(ValueError, match="backend 'numpy' takes no options, got autocast"):
        FirstOrderDataGenerator(lambda rows: rows, backend="numpy", options={"autocast": "bfloat16"})


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_autocast_computes_in_half_precision_and_gives_float32(dtype):
    seen = []
    model = mlp()
    model[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    distributions = run({"autocast": dtype}, model=model)
    assert set(seen) == {getattr(torch, dtype)}
    assert distributions.probabilities.dtype == np.float32
    np.testing.assert_allclose(distributions.probabilities.sum(axis=1), 1, rtol=0, atol=1e-6)
    np.testing.assert_allclose(distributions.probabilities, EXPECTED, rtol=0, atol=0.02)
    assert np.abs(distributions.probabilities - EXPECTED).max() > 1e-6, "nothing was cast"
    assert distributions.meta["options"] == {"autocast": dtype}
    assert "options" not in run({}).meta


def test_a_store_goes_on_with_the_same_options_only(tmp_path):
    path = tmp_path / "a.fod"
    made = generator({"autocast": "bfloat16"}).generate_distributions((INPUTS, LABELS), progress=False, out=path)
    again = generator({"autocast": "bfloat16", "num_workers": 1})
    assert again.generate_distributions((INPUTS, LABELS), progress=False, out=path) == made
    with pytest.raises(StoreError, match=r"options: the store has {'autocast': 'bfloat16'}, this run has None"):
        generator({}).generate_distributions((INPUTS, LABELS), progress=False, out=path)


def test_channels_last_gives_the_same_rows_and_leaves_the_model_as_it_was():
    seen = []

    class Watched(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3)

        def forward(self, images):
            channels_last = torch.channels_last
            seen.append((images.is_contiguous(memory_format=channels_last), self.conv.weight.stride()[1]))
            return self.conv(images).mean((2, 3))

    model, images = Watched(), torch.randn(20, 3, 8, 8)
    strides = model.conv.weight.stride()
    plain, last = run({}, images, model), run({"channels_last": True}, images, model)
    np.testing.assert_allclose(last.probabilities, plain.probabilities, rtol=0, atol=1e-6)
    assert seen == [(False, 9), (False, 9), (True, 1), (True, 1)]
    assert model.conv.weight.stride() == strides
    assert images.is_contiguous()
    assert last.meta["options"] == {"channels_last": True}


def test_channels_last_needs_a_module_that_can_be_copied():
    with pytest.raises(ValueError, match=r"option 'channels_last' is for torch.nn.Modules .* got function"):
        generator({"channels_last": True}, lambda batch: batch)


def test_compile_gives_the_same_rows_and_compiles_once(without_compiler):
    counters.clear()
    compiled = generator({"compile": True}, framework.cnn(CNN_WEIGHTS), batch_size=8)
    for _ in range(2):
        distributions = compiled.generate_distributions(IMAGES, progress=False)
        np.testing.assert_allclose(distributions.probabilities, CNN_EXPECTED, rtol=0, atol=1e-6)
    assert counters["stats"]["unique_graphs"] == 1, "the last, smaller batch or the second run compiled again"
    assert distributions.meta["options"] == {"compile": True}


def test_a_compiled_model_sees_new_weights_and_keeps_its_mode(without_compiler):
    model = mlp().train()
    compiled = generator({"compile": True}, model)
    compiled.generate_distributions(INPUTS, progress=False)
    other = reference.mlp_weights(seed=3)
    model.load_state_dict(framework.mlp(other).state_dict())
    distributions = compiled.generate_distributions(INPUTS, progress=False)
    expected = reference.softmax(reference.mlp_logits(other, INPUTS))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)
    assert all(part.training for part in model.modules())


def test_an_exported_program_is_not_compiled_again():
    program = torch.export.export(mlp().eval(), (torch.tensor(INPUTS[:4]),))
    with pytest.raises(ValueError, match=r"option 'compile' is for .* got an exported program"):
        generator({"compile": True}, program)


class Two(torch.nn.Module):
    """A model with two inputs and more than its scores as outputs."""

    def __init__(self):
        super().__init__()
        self.inner = mlp()

    def forward(self, left, right):
        logits = self.inner(left + right)
        return {"loss": logits.sum(), "logits": logits}


@pytest.mark.parametrize("kind", [tuple, list, dict])
def test_a_compiled_model_of_several_inputs_compiles_once(without_compiler, kind):
    halves = torch.tensor(INPUTS) / 2
    names = {"left": halves, "right": halves}
    dataset = (names, LABELS) if kind is dict else [(kind(pair), 0) for pair in zip(halves, halves, strict=True)]
    counters.clear()
    check(run({"compile": True}, dataset, Two(), output_mode="auto"))
    assert counters["stats"]["unique_graphs"] == 1


def test_a_transform_gets_all_outputs_of_a_compiled_model(without_compiler):
    seen = []

    def transform(outputs):
        seen.append(len(outputs["logits"]))
        return outputs["logits"].softmax(-1)

    halves = torch.tensor(INPUTS) / 2
    check(run({"compile": True}, ({"left": halves, "right": halves}, LABELS), Two(), output_transform=transform))
    assert seen == [16, 16, 16, 2]
