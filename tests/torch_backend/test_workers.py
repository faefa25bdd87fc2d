"""The option num_workers: samples fetched ahead by processes of their own."""

import os

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from probly.data_generator import AlignmentError
from probly.data_generator.testing import reference
from probly_data_generator_torch.arrays import stack_samples
from probly_data_generator_torch.data import torch_batches
from tests.torch_backend.support import (
    EXPECTED,
    INPUTS,
    LABELS,
    TENSORS,
    WEIGHTS,
    Stream,
    StreamWithLength,
    check,
    mlp,
    run,
)

# Workers are forked, of which Python and JAX (wherever another test has loaded it) warn.
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Decoded(Dataset):
    """Samples that are made one by one."""

    def __len__(self):
        return len(INPUTS)

    def __getitem__(self, index):
        return torch.tensor(INPUTS[index]), int(LABELS[index])


def with_workers(number, dataset, model=None, **settings):
    return run(dataset, model, options={"num_workers": number}, **settings)


@pytest.mark.parametrize("number", [1, 2])
def test_workers_fetch_the_samples_in_order(number):
    processes = set()

    class Watched(Decoded):
        def __getitem__(self, index):
            value, label = super().__getitem__(index)
            return torch.cat([value, torch.tensor([float(os.getpid())])]), label

    inner = mlp().eval()

    def split(batch):
        processes.update(batch[:, -1].int().tolist())
        return inner(batch[:, :-1])

    distributions = with_workers(number, Watched(), split)
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS)
    assert len(processes) == number
    assert os.getpid() not in processes
    assert "options" not in distributions.meta, "the number of workers does not change a row"


class Marked(Decoded):
    """Marks which samples were read, in memory that all processes share."""

    def __init__(self, keyed=False):
        self.read = torch.zeros(50, dtype=torch.int32).share_memory_()
        self.keyed = keyed

    def __getitem__(self, index):
        self.read[index] += 1
        return (*super().__getitem__(index), 49 - index) if self.keyed else super().__getitem__(index)


@pytest.mark.parametrize(("start", "stop"), [(0, 21), (16, 24), (16, 60), (0, None)])
def test_workers_read_each_sample_between_start_and_stop_once(start, stop):
    dataset = Marked()
    batches = torch_batches(dataset, 8, None, None, None, start, stop, num_workers=2)
    assert batches.length == 50, "what the dataset announces"
    found = list(batches)
    rows = range(start, min(stop or 50, 50))
    np.testing.assert_array_equal(np.concatenate([batch.indices for batch in found]), rows)
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in found]), INPUTS[rows.start : rows.stop])
    assert dataset.read.tolist() == [int(row in rows) for row in range(50)]


@pytest.mark.parametrize("stop", [21, 24, None])
@pytest.mark.parametrize("kind", ["samples", "stream"])
def test_workers_of_the_users_own_loader_read_nothing_from_the_stop_on(kind, stop):
    dataset = Marked()

    class Reading(StreamWithLength):
        def __iter__(self):
            return (dataset[index] for index in range(50))

    loader = DataLoader(dataset if kind == "samples" else Reading(), batch_size=8, num_workers=1)
    found = list(torch_batches(loader, 8, None, None, None, stop=stop))
    rows = range(stop or 50)
    np.testing.assert_array_equal(np.concatenate([batch.indices for batch in found]), rows)
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in found]), INPUTS[: len(rows)])
    assert dataset.read.tolist() == [int(row in rows) for row in range(50)]


def test_rows_from_the_stop_on_are_left_out_where_only_the_samples_tell_their_index():
    dataset = Marked(keyed=True)
    batches = torch_batches(dataset, 8, None, lambda sample: sample[2], None, stop=10, num_workers=2)
    found = [batch for batch in batches if len(batch.indices)]
    np.testing.assert_array_equal(np.concatenate([batch.indices for batch in found]), range(9, -1, -1))
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in found]), INPUTS[40:])
    assert dataset.read.tolist() == [1] * 50


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
        with_workers(number, _Made(lambda index: torch.zeros(1 + index // 3)), model, batch_size=2)
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

        with_workers(number, _Made(SAMPLES[name]), model, output_mode="logits")
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
    distributions = with_workers(2, Keyed(), **getters)
    twice = reference.softmax(reference.mlp_logits(WEIGHTS, 2 * INPUTS))
    np.testing.assert_array_equal(distributions.indices, range(51, 101))
    np.testing.assert_allclose(distributions.probabilities, twice[::-1], rtol=0, atol=1e-6)


def test_workers_look_for_the_indices_of_getters_in_every_sample():
    class Reversed(Decoded):
        def __getitem__(self, index):
            return torch.tensor(INPUTS[49 - index]), 49 - index

    batches = torch_batches(Reversed(), 8, None, lambda sample: sample[1], None, start=32, stop=45, num_workers=2)
    found = [batch for batch in batches if len(batch.indices)]
    indices = np.concatenate([batch.indices for batch in found])
    np.testing.assert_array_equal(indices, range(44, -1, -1))
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in found]), INPUTS[indices])


def test_an_iterable_dataset_is_not_read_by_several_workers():
    with pytest.raises(AlignmentError, match="option 'num_workers': Stream is iterable"):
        with_workers(2, Stream())


def test_a_store_is_resumed_with_workers(tmp_path):
    class Failing(Decoded):
        def __getitem__(self, index):
            if index == 40:
                raise RuntimeError("unreadable sample")
            return super().__getitem__(index)

    path, model = tmp_path / "a.fod", mlp()
    with pytest.raises(RuntimeError, match="unreadable sample"):
        with_workers(1, Failing(), model, out=path)
    # The same data under the same name: what was repaired is the file behind a sample.
    Failing.__getitem__ = Decoded.__getitem__
    done = with_workers(1, Failing(), model, out=path)
    np.testing.assert_allclose(done.probabilities, EXPECTED, rtol=0, atol=1e-6)


def test_tensors_are_sliced_whatever_the_number_of_workers(monkeypatch):
    monkeypatch.setattr("probly_data_generator_torch.data.fetched_by_workers", None)
    check(with_workers(2, TensorDataset(*TENSORS)))
