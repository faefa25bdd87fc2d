"""Distributions beside their samples, for training."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from probly.data_generator import Distributions
from probly.data_generator.errors import AlignmentError
from probly.data_generator.torch_first_order_generator import (
    FirstOrderDataGenerator,
    FirstOrderDataset,
    output_dataloader,
    prepares_batch_inp,
)
from tests.torch_backend.support import EXPECTED, INPUTS, LABELS, PAIRS, TENSORS, Stream, StreamWithLength, build


@pytest.mark.parametrize("base", [Stream(), StreamWithLength(), DataLoader(PAIRS), iter([1])])
def test_pairing_needs_a_map_style_dataset(base):
    for pair in (FirstOrderDataset, output_dataloader):
        with pytest.raises(TypeError, match=rf"expected a map-style dataset.*got {type(base).__name__}"):
            pair(base, {0: [0.5, 0.5]})


def test_batches_of_inputs_labels_and_float32_distributions():
    rows = dict(enumerate(EXPECTED))
    for base in (PAIRS, TENSORS, [[value, int(label)] for value, label in zip(*TENSORS, strict=True)]):
        loader = output_dataloader(base, rows, batch_size=16)
        assert isinstance(loader, DataLoader)
        for number, (inputs, labels, distributions) in enumerate(loader):
            part = slice(16 * number, 16 * number + 16)
            assert torch.equal(inputs, TENSORS[0][part])
            assert labels.tolist() == LABELS[part].tolist()
            assert distributions.dtype == torch.float32
            np.testing.assert_allclose(distributions.numpy(), EXPECTED[part], rtol=0, atol=1e-7)
        assert number == 3


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")
def test_workers_shuffling_and_the_input_getter():
    torch.manual_seed(0)
    rows = dict(enumerate(EXPECTED))
    loader = output_dataloader(
        PAIRS, rows, batch_size=16, shuffle=True, num_workers=1, input_getter=lambda sample: 2 * sample[0]
    )
    inputs, labels, distributions = (torch.cat(parts) for parts in zip(*loader, strict=True))
    places = [int(np.abs(2 * INPUTS - value).sum(axis=1).argmin()) for value in inputs.numpy()]
    assert sorted(places) == list(range(50))
    assert places != list(range(50))
    np.testing.assert_array_equal(labels, LABELS[places])
    np.testing.assert_allclose(distributions, EXPECTED[places], rtol=0, atol=1e-7)


def test_arrays_that_torch_cannot_share_are_stacked():
    rows = dict(enumerate(EXPECTED))
    read_only = INPUTS.copy()
    read_only.flags.writeable = False
    for view in (np.ascontiguousarray(INPUTS[:, ::-1])[:, ::-1], INPUTS.astype(">f4"), read_only):
        loader = output_dataloader(list(view), rows, batch_size=50)
        np.testing.assert_array_equal(next(iter(loader))[0], INPUTS)


def test_a_list_is_a_pair_too():
    batch = list(TENSORS)
    assert prepares_batch_inp(batch) is TENSORS[0]
    assert prepares_batch_inp(batch, lambda pair: pair[1]) is TENSORS[1]
    assert FirstOrderDataGenerator(build()).prepares_batch_inp(batch) is TENSORS[0]


def test_a_part_of_a_dataset_does_not_get_the_rows_of_the_whole():
    rows, chosen = Distributions(EXPECTED), [7, 3, 40]
    nested = Subset(Subset(PAIRS, [9, 40, 3, 7]), [3, 2, 1])
    for part in (Subset(PAIRS, chosen), Subset(PAIRS, np.array(chosen)), nested):
        for pair in (FirstOrderDataset, output_dataloader):
            with pytest.raises(
                AlignmentError, match=r"its sample 0 is sample 7 .* distributions of 50 samples.*gather\(indices\)"
            ):
                pair(part, rows)
        # Both ways that the message names.
        for right in (
            Subset(FirstOrderDataset(PAIRS, rows), chosen),
            FirstOrderDataset(part, Distributions(rows.gather(chosen))),
        ):
            for place, index in enumerate(chosen):
                assert torch.equal(right[place][0], TENSORS[0][index])
                np.testing.assert_array_equal(right[place][2].numpy(), rows[index])
    with pytest.raises(AlignmentError, match="distributions of 45 samples"):  # nor those of most of it
        FirstOrderDataset(Subset(PAIRS, chosen), rows.select(range(45)))
    # The first samples count like the dataset, and rows may be those of a subset.
    assert len(FirstOrderDataset(Subset(PAIRS, range(3)), rows)) == len(FirstOrderDataset(nested, rows.head(3))) == 3
