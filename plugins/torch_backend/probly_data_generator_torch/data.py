"""torch datasets and loaders: read for a run, and paired with distributions for training."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from probly.data_generator import soft_targets as core
from probly.data_generator.rows import FloatRows
from probly.data_generator.toolkit.batches import iterate_batches
from probly.data_generator.toolkit.samples import (
    Batch,
    Batches,
    Getter,
    announced_length,
    check_batch_size,
    split_sample,
)
from probly_data_generator_torch.tensors import PAIRS, plain, stack_samples, to_numpy
from probly_data_generator_torch.workers import fetched_by_workers


def torch_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int = 0,
    num_workers: int = 0,
) -> Batches:
    """Iterate over anything that torch users call a dataset; tensors are sliced, never fetched one by one."""
    if input_getter is None and index_getter is None and not batched:
        fast = _sliced(dataset, check_batch_size(batch_size), start)
        if fast is not None:
            return fast
    if num_workers and isinstance(dataset, Dataset) and not batched:
        return fetched_by_workers(dataset, check_batch_size(batch_size), input_getter, index_getter, start, num_workers)
    length = None
    if isinstance(dataset, IterableDataset) and not batched:
        # It inherits a __getitem__ that only raises, so it must not be taken for a sequence.
        dataset, length = iter(dataset), announced_length(dataset)
    batches = iterate_batches(
        dataset, batch_size, input_getter, index_getter, batched, start, pairs=PAIRS, stack=stack_samples
    )
    return batches if length is None else Batches(batches, length)


def _sliced(dataset: Any, batch_size: int, start: int) -> Batches | None:
    """Return batches cut from a TensorDataset or (nested) Subsets of one; None for any other dataset."""
    subsets = []
    while type(dataset) is Subset:
        subsets.append(dataset.indices)
        dataset = dataset.dataset
    # A subclass may change its samples in __getitem__.
    if type(dataset) is not TensorDataset:
        return None
    # The model never sees the others, and NumPy cuts an array in a tenth of the time.
    columns = (dataset.tensors[0], *map(to_numpy, dataset.tensors[1:]))
    if not subsets:
        return iterate_batches(columns, batch_size, start=start)
    rows = _positions(subsets[-1])
    for outer in reversed(subsets[:-1]):
        rows = rows[_positions(outer)]
    return Batches(_chosen_rows(columns, rows, batch_size, start), len(rows))


def _positions(indices: Any) -> torch.Tensor:
    return torch.as_tensor(plain(indices), dtype=torch.int64)


def _chosen_rows(columns: tuple[Any, ...], rows: torch.Tensor, batch_size: int, first: int) -> Iterator[Batch]:
    for start in range(first, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        # NumPy would take a tensor with one entry for a single index.
        others = [column[chosen.numpy()] for column in columns[1:]]
        inputs, labels = split_sample((columns[0][chosen], *others))
        yield Batch(np.arange(start, start + len(chosen)), inputs, labels)


class FirstOrderDataset(core.FirstOrderDataset, Dataset[tuple[Any, ...]]):
    """A torch Dataset whose samples carry their distribution as a float32 tensor.

    Args:
        base_dataset: A map-style Dataset, or tensors.
        distributions: A Distributions, or any mapping from dataset index to row.
        input_getter: Picks the input from a sample; by default the first element of a tuple or list.

    Raises:
        TypeError: ``base_dataset`` has no indices, as an IterableDataset.

    Examples:
        >>> base = TensorDataset(torch.zeros(2, 3), torch.tensor([0, 1]))
        >>> FirstOrderDataset(base, {0: [0.75, 0.25], 1: [0.5, 0.5]})[0]
        (tensor([0., 0., 0.]), tensor(0), tensor([0.7500, 0.2500]))
    """

    pairs = PAIRS

    def __init__(self, base_dataset: Any, distributions: Mapping[int, Any], input_getter: Getter | None = None) -> None:
        indexed = hasattr(base_dataset, "__len__") and hasattr(base_dataset, "__getitem__")
        if isinstance(base_dataset, IterableDataset) or not indexed:
            message = (
                "FirstOrderDataset: expected a map-style dataset, with __len__ and __getitem__, got "
                f"{type(base_dataset).__name__}; an iterable dataset can be collected first: list(dataset)"
            )
            raise TypeError(message)
        super().__init__(base_dataset, distributions, input_getter)

    def convert(self, rows: FloatRows) -> torch.Tensor:
        """Return distributions as a float32 tensor."""
        return torch.from_numpy(rows)


def output_dataloader(
    base_dataset: Any,
    distributions: Mapping[int, Any],
    *,
    batch_size: int = 64,
    shuffle: bool = False,
    num_workers: int = 0,
    pin_memory: bool = False,
    input_getter: Getter | None = None,
) -> "DataLoader[Any]":
    """Return a torch DataLoader of (inputs, labels, distributions) batches.

    Args:
        base_dataset: See FirstOrderDataset.
        distributions: See FirstOrderDataset.
        batch_size: Rows per batch.
        shuffle: Whether to draw a new order at each iteration.
        num_workers: Processes that read samples; 0 reads in this one.
        pin_memory: Whether to return tensors in page-locked memory, for faster copies to an accelerator.
        input_getter: See FirstOrderDataset.

    Raises:
        KeyError: A sample has no distribution.

    Examples:
        >>> base = TensorDataset(torch.zeros(2, 3), torch.tensor([0, 1]))
        >>> loader = output_dataloader(base, {0: [0.75, 0.25], 1: [0.5, 0.5]}, batch_size=2)
        >>> [tuple(part.shape) for part in next(iter(loader))]
        [(2, 3), (2,), (2, 2)]
    """
    dataset = FirstOrderDataset(base_dataset, distributions, input_getter)
    core.check_covered(dataset)
    return DataLoader(
        dataset,
        batch_size,
        shuffle=shuffle,
        num_workers=num_workers,
        pin_memory=pin_memory,
        collate_fn=stack_samples,
    )
