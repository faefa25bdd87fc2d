"""What torch users may ask for by name, and what stays as it was."""

import functools
import os

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from probly.data_generator import AlignmentError, FirstOrderDataGenerator, StoreError
from probly.data_generator.testing import reference
from probly_data_generator_torch import workers
from probly_data_generator_torch.tensors import stack_samples
from tests.frameworks import suite

# JAX says so wherever a test has loaded it: workers are forked.
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

framework = suite("torch")
WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))
CNN_WEIGHTS = reference.cnn_weights()
IMAGES, _ = reference.samples(rows=20, shape=(8, 8, 1))
CNN_EXPECTED = reference.softmax(reference.cnn_logits(CNN_WEIGHTS, IMAGES))


def generator(options, model=None, **others):
    model = framework.mlp(WEIGHTS) if model is None else model
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
    model = framework.mlp(WEIGHTS)
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
    model = framework.mlp(WEIGHTS).train()
    compiled = generator({"compile": True}, model)
    compiled.generate_distributions(INPUTS, progress=False)
    other = reference.mlp_weights(seed=3)
    model.load_state_dict(framework.mlp(other).state_dict())
    distributions = compiled.generate_distributions(INPUTS, progress=False)
    expected = reference.softmax(reference.mlp_logits(other, INPUTS))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)
    assert all(part.training for part in model.modules())


def test_an_exported_program_is_not_compiled_again():
    program = torch.export.export(framework.mlp(WEIGHTS).eval(), (torch.tensor(INPUTS[:4]),))
    with pytest.raises(ValueError, match=r"option 'compile' is for .* got an exported program"):
        generator({"compile": True}, program)


class Decoded(Dataset):
    """Samples that say in which process they were made."""

    def __len__(self):
        return len(INPUTS)

    def __getitem__(self, index):
        return torch.tensor(INPUTS[index]), int(LABELS[index]), os.getpid()


@pytest.mark.parametrize("number", [1, 2])
def test_workers_fetch_the_samples_in_order(number):
    processes = set()

    def watch(model_inputs):
        return framework.mlp(WEIGHTS).eval()(model_inputs)

    class Watched(Decoded):
        def __getitem__(self, index):
            value, label, process = super().__getitem__(index)
            return torch.cat([value, torch.tensor([float(process)])]), label

    def split(batch):
        processes.update(batch[:, -1].int().tolist())
        return watch(batch[:, :-1])

    distributions = run({"num_workers": number}, Watched(), split)
    np.testing.assert_allclose(distributions.probabilities, EXPECTED, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(distributions.labels, LABELS)
    np.testing.assert_array_equal(distributions.indices, range(50))
    assert len(processes) == number
    assert os.getpid() not in processes
    assert "options" not in distributions.meta


def test_workers_stand_back_behind_the_model():
    class Niced(Decoded):
        def __getitem__(self, index):
            return torch.tensor(INPUTS[index]), os.nice(0)

    before = os.nice(0)
    found = run({"num_workers": 2}, Niced()).labels
    np.testing.assert_array_equal(found, np.full(50, min(before + workers.NICENESS, 19)))
    assert os.nice(0) == before


@pytest.mark.parametrize("refusal", [AttributeError, PermissionError])
def test_workers_that_cannot_stand_back_work_all_the_same(refusal, monkeypatch):
    def refuse(increment):
        raise refusal

    monkeypatch.setattr(os, "nice", refuse)  # the workers are forked
    np.testing.assert_allclose(run({"num_workers": 2}, Decoded()).probabilities, EXPECTED, rtol=0, atol=1e-6)


def _is_stacked_where_others_read_it(samples):
    return stack_samples(samples).is_shared()


@pytest.mark.parametrize("number", [0, 1])
def test_workers_stack_tensors_where_they_are_read(number):
    loader = DataLoader(
        torch.zeros(4, 3), batch_size=2, num_workers=number, collate_fn=_is_stacked_where_others_read_it
    )
    assert list(loader) == [number > 0] * 2


class _Made(Dataset):
    """Four samples that a function makes."""

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.make(index)


def _mixed_arrays(index):
    """Return numbers that float32 cannot hold, after one that it can."""
    return np.array([index + 2.0**-40 if index else 0], np.float64 if index else np.float32)


SAMPLES = {
    "mixed arrays": _mixed_arrays,
    "mixed tensors": lambda index: torch.tensor(_mixed_arrays(index)),
    "sparse": lambda index: torch.tensor([float(index), 0.0]).to_sparse(),
    "conjugated": lambda index: torch.tensor([index + 1j]).conj(),
    "negated": lambda index: torch.tensor([index + 1j]).conj().imag,
    "with gradients": lambda index: torch.ones(1, requires_grad=True) * index,
}


@pytest.mark.parametrize("number", [0, 2])
def test_samples_that_do_not_stack_are_named(number):
    def model(inputs):
        return torch.zeros(len(inputs), 2)

    with pytest.raises(RuntimeError) as caught:
        run({"num_workers": number}, _Made(lambda index: torch.zeros(1 + index // 3)), model, batch_size=2)
    said = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert "the samples 2 to 3 of the shapes (1,), (2,) do not stack to a batch" in said


# torch says so of any sparse tensor that comes from another process.
@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled:UserWarning")
@pytest.mark.parametrize("name", SAMPLES)
def test_workers_stack_what_this_process_does(name):
    seen = {0: [], 2: []}
    for number, batches in seen.items():

        def model(inputs, batches=batches):
            batches.append(inputs.to_dense().detach().resolve_conj().resolve_neg().numpy())
            return torch.zeros(len(inputs), 2)

        run({"num_workers": number}, _Made(SAMPLES[name]), model)
    (here,), (there,) = seen.values()
    assert here.dtype == there.dtype
    np.testing.assert_array_equal(here, there)
    if name.startswith("mixed"):
        np.testing.assert_array_equal(here[:, 0], [0.0] + [index + 2.0**-40 for index in (1, 2, 3)])


def test_workers_use_the_getters_of_samples():
    class Keyed(Decoded):
        def __getitem__(self, index):
            return {"value": torch.tensor(2 * INPUTS[index]), "key": 100 - index}

    getters = {"input_getter": lambda sample: sample["value"], "index_getter": lambda sample: sample["key"]}
    distributions = run({"num_workers": 2}, Keyed(), **getters)
    twice = reference.softmax(reference.mlp_logits(WEIGHTS, 2 * INPUTS))
    np.testing.assert_array_equal(distributions.indices, range(51, 101))
    np.testing.assert_allclose(distributions.probabilities, twice[::-1], rtol=0, atol=1e-6)


def test_an_iterable_dataset_is_not_read_by_several_workers():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(torch.tensor(INPUTS))

    with pytest.raises(AlignmentError, match="option 'num_workers': Stream is iterable"):
        run({"num_workers": 2}, Stream())


def test_a_store_is_resumed_with_workers(tmp_path):
    class Failing(Decoded):
        def __getitem__(self, index):
            if index == 40:
                raise RuntimeError("unreadable sample")
            return super().__getitem__(index)

    path, model = tmp_path / "a.fod", framework.mlp(WEIGHTS)
    with pytest.raises(RuntimeError, match="unreadable sample"):
        generator({"num_workers": 1}, model).generate_distributions(Failing(), progress=False, out=path)
    # The same data under the same name: what was repaired is the file behind a sample.
    Failing.__getitem__ = Decoded.__getitem__
    done = generator({"num_workers": 1}, model).generate_distributions(Failing(), progress=False, out=path)
    np.testing.assert_allclose(done.probabilities, EXPECTED, rtol=0, atol=1e-6)


def test_tensors_are_sliced_whatever_the_number_of_workers(monkeypatch):
    monkeypatch.setattr("probly_data_generator_torch.data.fetched_by_workers", None)
    dataset = TensorDataset(torch.tensor(INPUTS), torch.tensor(LABELS))
    np.testing.assert_allclose(run({"num_workers": 2}, dataset).probabilities, EXPECTED, rtol=0, atol=1e-6)
