"""Which rows a dataset or a loader has, and under which index each one lands."""

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from probly.data_generator import AlignmentError
from probly.data_generator.testing import reference
from probly.data_generator.torch_first_order_generator import FirstOrderDataGenerator as TorchGenerator
from probly_data_generator_torch.data import torch_batches
from tests.torch_backend.support import (
    DOUBLED,
    EXPECTED,
    INPUTS,
    LABELS,
    PAIRS,
    TENSORS,
    Stream,
    StreamWithLength,
    check,
    run,
)

# Workers are forked, of which Python and JAX (wherever another test has loaded it) warn.
forks = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning"),
]
pytestmark = forks


class Lists(Dataset):
    def __len__(self):
        return 50

    def __getitem__(self, index):
        return [TENSORS[0][index], int(LABELS[index])]


@pytest.mark.parametrize(
    "dataset",
    [
        TENSORS,
        TensorDataset(*TENSORS),
        TensorDataset(TENSORS[0]),
        PAIRS,
        Lists(),
        Stream(),
        StreamWithLength(),
        DataLoader(PAIRS, batch_size=7),
        DataLoader(TensorDataset(*TENSORS), batch_size=7, shuffle=True),
        DataLoader(PAIRS, batch_size=7, shuffle=True, num_workers=2),
        DataLoader(PAIRS, batch_size=7, shuffle=True, num_workers=2, persistent_workers=True),
        DataLoader(PAIRS, batch_size=7, shuffle=True, num_workers=2, in_order=False),
        DataLoader(PAIRS, batch_sampler=BatchSampler(RandomSampler(PAIRS), 7, drop_last=False)),
        DataLoader(PAIRS, batch_size=None, sampler=BatchSampler(RandomSampler(PAIRS), 7, drop_last=False)),
        DataLoader(Stream(), batch_size=7),
        DataLoader(Stream(), batch_size=7, num_workers=1),
    ],
    ids=lambda dataset: type(dataset).__name__,
)
def test_every_kind_of_dataset(dataset):
    check(run(dataset))


def test_subsets_are_numbered_by_themselves():
    rows = [40, 3, 17, 8, 9]
    for subset in (Subset(TensorDataset(*TENSORS), rows), Subset(PAIRS, rows)):
        distributions = run(subset, batch_size=2)
        np.testing.assert_array_equal(distributions.indices, range(5))
        np.testing.assert_allclose(distributions.probabilities, EXPECTED[rows], atol=1e-6)
        np.testing.assert_array_equal(distributions.labels, LABELS[rows])
    nested = Subset(Subset(TensorDataset(*TENSORS), rows), [4, 0])
    np.testing.assert_allclose(run(nested).probabilities, EXPECTED[[9, 40]], atol=1e-6)


def test_subsets_chosen_by_any_integers():
    rows = np.array([9, 8, 17, 3, 40])
    expected = EXPECTED[rows[::-1]]
    for chosen in (rows[::-1], rows.astype(">i8")[::-1], torch.tensor(rows[::-1].copy()), rows[::-1].tolist()):
        distributions = run(Subset(TensorDataset(*TENSORS), chosen))
        np.testing.assert_allclose(distributions.probabilities, expected, atol=1e-6)
    steps = run(Subset(TensorDataset(*TENSORS), range(40, -1, -10)))
    np.testing.assert_allclose(steps.probabilities, EXPECTED[40::-10], atol=1e-6)


def test_a_tensor_dataset_with_its_own_samples_is_asked_for_them():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            value, label = super().__getitem__(index)
            return 2 * value, label

    check(run(Doubled(*TENSORS)), expected=DOUBLED)
    check(run(Subset(Doubled(*TENSORS), range(50))), expected=DOUBLED)


class Watched(Dataset):
    """Notes which samples are read in this process."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 50

    def __getitem__(self, index):
        self.read.append(index)
        return TENSORS[0][index], int(LABELS[index])


def stream_of(watched):
    """Return an iterable dataset of the samples of another one."""

    class Reading(StreamWithLength):
        def __iter__(self):
            return (watched[index] for index in range(50))

    return Reading()


@pytest.mark.parametrize("kind", ["samples", "stream", "loader", "loader of a stream"])
def test_nothing_is_read_from_the_stop_on(kind):
    watched = Watched()
    dataset = {
        "samples": watched,
        "stream": stream_of(watched),
        "loader": DataLoader(watched, batch_size=8),
        "loader of a stream": DataLoader(stream_of(watched), batch_size=8),
    }[kind]
    batches = torch_batches(dataset, 8, None, None, None, stop=21)
    assert batches.length == 50, "what the dataset announces"
    found = list(batches)
    assert [len(batch.indices) for batch in found] == [8, 8, 5]
    np.testing.assert_array_equal(np.concatenate([batch.indices for batch in found]), range(21))
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in found]), LABELS[:21])
    assert watched.read == list(range(21))


def test_of_a_stream_of_batches_nothing_is_read_after_that_of_the_stop():
    read = []

    class Whole(IterableDataset):
        def __iter__(self):
            for first in range(0, 50, 10):
                read.append(first)
                yield TENSORS[0][first : first + 10], LABELS[first : first + 10]

    found = list(torch_batches(DataLoader(Whole(), batch_size=None), 8, None, None, None, stop=21))
    np.testing.assert_array_equal(np.concatenate([batch.indices for batch in found]), range(21))
    assert read == [0, 10, 20]


@pytest.mark.parametrize("start", [0, 16])
@pytest.mark.parametrize("stop", [21, 24, 50, 80, None])
@pytest.mark.parametrize(
    "dataset",
    [TensorDataset(*TENSORS), Subset(TensorDataset(*TENSORS), range(50)), TENSORS, PAIRS],
    ids=["tensors", "subset", "arrays", "samples"],
)
def test_batches_between_start_and_stop(dataset, start, stop):
    found = list(torch_batches(dataset, 8, None, None, None, start, stop))
    rows = range(start, min(stop or 50, 50))
    assert [len(batch.indices) for batch in found] == [len(rows[first : first + 8]) for first in range(0, len(rows), 8)]
    np.testing.assert_array_equal(np.concatenate([batch.indices for batch in found]), rows)
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in found]), INPUTS[rows.start : rows.stop])
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in found]), LABELS[rows.start : rows.stop])


def test_samplers_that_choose_a_part():
    with pytest.warns(UserWarning, match="generated 3 distributions, but dataset length is 50"):
        check(run(DataLoader(PAIRS, batch_size=2, sampler=SubsetRandomSampler([7, 30, 2]))), [2, 7, 30])
    with pytest.warns(UserWarning, match="generated 48 distributions"):
        check(run(DataLoader(PAIRS, batch_size=16, drop_last=True)), range(48))


def test_samplers_that_repeat():
    """DistributedSampler pads by repeating samples: rows are counted by index."""
    sampler = DistributedSampler(PAIRS, num_replicas=3, rank=2, shuffle=False)
    assert len(list(sampler)) == 17
    with pytest.warns(UserWarning, match="generated 17 distributions"):
        check(run(DataLoader(PAIRS, batch_size=5, sampler=sampler)), sorted(set(sampler)))
    torch.manual_seed(0)
    weighted = WeightedRandomSampler([1.0] * 50, 60)
    with (
        pytest.warns(UserWarning, match="the sampler repeated"),
        pytest.warns(UserWarning, match="but dataset length is 50"),
    ):
        distributions = run(DataLoader(PAIRS, batch_size=5, sampler=weighted))
    check(distributions, distributions.indices)


def test_iterable_datasets_read_by_several_workers_are_refused():
    with pytest.raises(AlignmentError, match="2 workers"):
        run(DataLoader(Stream(), batch_size=7, num_workers=2))


def test_whole_samples_as_batches_are_refused():
    with pytest.raises(AlignmentError, match="batch_size=None"):
        run(DataLoader(PAIRS, batch_size=None))


def test_a_dataset_without_length_is_refused():
    class Endless(Dataset):
        def __getitem__(self, index):
            return TENSORS[0][0]

    with pytest.raises(TypeError, match="give it __len__"):
        run(Endless())


def test_samples_of_different_shapes_name_indices_and_shapes():
    samples = [(torch.zeros(5), 0)] * 20 + [(torch.zeros(6), 0)]
    with pytest.raises(RuntimeError) as caught:
        run(samples)
    assert "the samples 16 to 20 of the shapes (5,), (6,) do not stack" in caught.value.__notes__[0]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("other", [{"left": TENSORS[0][0]}, {"left": TENSORS[0][0], "right": 0, "more": 1}])
@pytest.mark.parametrize("wrap", [lambda sample: sample, lambda sample: {"views": sample}])
def test_samples_with_other_keys_are_refused(wrap, other, num_workers):
    class Left(torch.nn.Module):
        def forward(self, left=None, right=None, more=None, views=None):
            return views["left"] if left is None else left

    samples = [wrap(sample) for sample in [{"left": TENSORS[0][0], "right": 0}] * 20 + [other]]
    model = TorchGenerator(Left(), batch_size=8, options={"num_workers": num_workers})
    with pytest.raises(ValueError, match=r"expected samples with the keys \['left', 'right'\], got the keys .*getter"):
        model.generate_distributions(samples, progress=False)


def test_the_loaders_own_workers_stay():
    loader = DataLoader(PAIRS, batch_size=7, shuffle=True)
    sampler = loader.batch_sampler
    run(loader)
    assert loader.batch_sampler is sampler
    assert len(list(loader)) == 8


def test_several_inputs():
    class Two(torch.nn.Module):
        def forward(self, left, right):
            return left + right

    logits = reference.samples(rows=50, shape=(3,))[0]
    parts = {"left": logits, "right": np.ones_like(logits)}
    expected = reference.softmax(logits)
    samples = [({"left": left, "right": np.ones(3, np.float32)}, 0) for left in logits]
    for dataset in (parts, (parts, LABELS), samples, DataLoader(samples, batch_size=7)):
        check(run(dataset, Two(), output_mode="logits"), expected=expected)
    triples = [(left, np.ones(3, np.float32), 0) for left in logits]
    getters = {"input_getter": lambda sample: sample[:2], "label_getter": lambda sample: sample[2]}
    check(run(triples, Two(), output_mode="logits", **getters), expected=expected)


def test_a_read_only_array_is_no_obstacle(tmp_path):
    np.save(tmp_path / "inputs.npy", INPUTS)
    check(run(np.load(tmp_path / "inputs.npy", mmap_mode="r")))


def test_arrays_that_torch_cannot_share():
    views = [np.ascontiguousarray(INPUTS[::-1])[::-1], INPUTS.astype(">f4"), np.asfortranarray(INPUTS)]
    views.append(np.ascontiguousarray(INPUTS[:, ::-1])[:, ::-1])
    views.append(INPUTS.copy())
    views[-1].flags.writeable = False
    for view in views:
        np.testing.assert_array_equal(view, INPUTS)
        for dataset in ((view, LABELS), view, [(row, 0) for row in view]):
            check(run(dataset))


@pytest.mark.parametrize("wrap", [list, np.array, torch.tensor])
def test_a_mask_is_no_list_of_positions(wrap):
    inputs, mask = torch.randn(4, 3), [False, True, False, True]
    generator = TorchGenerator(torch.nn.Identity(), output_mode="logits")
    with pytest.raises(TypeError, match=r"got a mask of True and False; pass np.flatnonzero\(mask\)"):
        generator.generate_distributions(Subset(TensorDataset(inputs), wrap(mask)))
    found = generator.generate_distributions(Subset(TensorDataset(inputs), np.flatnonzero(wrap(mask))))
    np.testing.assert_allclose(found.probabilities, inputs[mask].softmax(-1), atol=1e-6)
