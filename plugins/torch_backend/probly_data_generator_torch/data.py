"""torch's datasets and loaders, read for a run."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from probly.data_generator.toolkit.batches import iterate_batches
from probly.data_generator.toolkit.order import check_order
from probly.data_generator.toolkit.parts import Getter, split_sample
from probly.data_generator.toolkit.samples import (
    Batch,
    Batches,
    announced_length,
    check_batch_size,
    label_columns,
    spans,
)
from probly_data_generator_torch.arrays import PAIRS, PICTURES, plain, stack_samples, to_numpy
from probly_data_generator_torch.rowwise import rowwise
from probly_data_generator_torch.workers import fetched_by_workers


def torch_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int = 0,
    stop: int | None = None,
    num_workers: int = 0,
    label_getter: Getter | None = None,
    stack: Callable[[Sequence[Any]], Any] = stack_samples,
) -> Batches:
    """Iterate over anything that torch users call a dataset; tensors are sliced, never fetched one by one.

    Args:
        dataset: See the hook ``iterate_batches``, as for the others.
        batch_size: Rows per batch.
        input_getter: Picks the model's input.
        index_getter: Picks the dataset index.
        batched: Whether ``dataset`` yields batches.
        start: The first row that is needed.
        stop: The first row that is not needed any more, or None.
        num_workers: The processes that fetch the samples of a Dataset.
        label_getter: Picks the label.
        stack: Makes a batch of the inputs of samples; a function that workers can be sent.

    Raises:
        AlignmentError: The index of a row cannot be known.
    """
    batch_size = check_batch_size(batch_size)
    if input_getter is None and index_getter is None and label_getter is None and not batched:
        found = tensors_behind(dataset)
        if found is not None:
            return _sliced(*found, batch_size, start, stop)
    if num_workers and isinstance(dataset, Dataset) and not batched:
        fetched = fetched_by_workers(
            dataset, batch_size, input_getter, index_getter, start, stop, num_workers, label_getter, stack
        )
        return Batches(explained(fetched), fetched.length)
    length = None
    dataset = rowwise(dataset)
    if isinstance(dataset, IterableDataset) and not batched:
        check_order(dataset, index_getter)
        # It inherits a __getitem__ that only raises, so it must not be taken for a sequence.
        dataset, length = iter(dataset), announced_length(dataset)
    batches = iterate_batches(
        dataset,
        batch_size,
        input_getter,
        index_getter,
        batched,
        start,
        stop,
        label_getter,
        pairs=PAIRS,
        stack=stack,
    )
    return Batches(explained(batches), batches.length if length is None else length)


def explained(batches: Batches) -> Iterator[Batch]:
    """Yield the batches of a loader or dataset; where it meets pictures that are no tensors, say what to do."""
    try:
        yield from batches
    except TypeError as error:
        if "found <class 'PIL." in str(error):  # the words of torch's default_collate, also from a worker
            message = PICTURES
            raise TypeError(message) from error
        raise
    finally:
        batches.close()


def tensors_behind(dataset: Any) -> tuple[tuple[torch.Tensor, ...], torch.Tensor | None] | None:
    """Return the tensors of a TensorDataset or of (nested) Subsets of one, and the chosen rows; else None.

    Examples:
        >>> base = TensorDataset(torch.arange(9))
        >>> tensors_behind(Subset(Subset(base, [8, 6, 4]), [2, 0]))[1]
        tensor([4, 8])
        >>> tensors_behind(base)[1], tensors_behind([1, 2])
        (None, None)
    """
    subsets = []
    while type(dataset) is Subset:
        subsets.append(dataset.indices)
        dataset = dataset.dataset
    # A subclass may change its samples in __getitem__.
    if type(dataset) is not TensorDataset:
        return None
    if not subsets:
        return dataset.tensors, None
    rows = positions(subsets.pop())
    while subsets:
        rows = rows[positions(subsets.pop())]
    return dataset.tensors, rows


def positions(indices: Any) -> torch.Tensor:
    """Return which samples of its dataset a Subset takes; a mask is refused."""
    rows = torch.as_tensor(plain(indices))
    if rows.dtype == torch.bool:  # True and False would be the rows 1 and 0
        message = "a Subset takes the positions of its rows, got a mask of True and False; pass np.flatnonzero(mask)"
        raise TypeError(message)
    return rows.to(torch.int64)


def _sliced(
    tensors: tuple[torch.Tensor, ...], rows: torch.Tensor | None, batch_size: int, start: int, stop: int | None
) -> Batches:
    # The model never sees the others, and NumPy cuts an array in a tenth of the time.
    columns = (rowwise(tensors[0]), *map(to_numpy, tensors[1:]))
    if rows is None:
        return iterate_batches(columns, batch_size, start=start, stop=stop)
    return Batches(_chosen_rows(columns, rows, spans(len(rows), start, stop, batch_size)), len(rows))


def _chosen_rows(columns: tuple[Any, ...], rows: torch.Tensor, parts: Iterator[range]) -> Iterator[Batch]:
    for part in parts:
        chosen = rows[part.start : part.stop]
        # NumPy would take a tensor with one entry for a single index.
        others = [column[chosen.numpy()] for column in columns[1:]]
        inputs, labels = split_sample((columns[0][chosen], *others))
        yield Batch(np.arange(part.start, part.stop), inputs, label_columns(labels))
