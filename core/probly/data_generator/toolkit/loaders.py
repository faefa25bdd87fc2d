"""Loaders hand out whole batches; their samplers know which rows those are."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.nests import collate, columns, count_rows, map_leaves, take_rows
from probly.data_generator.toolkit.order import check_order
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.pipelines import is_graph, source_rows
from probly.data_generator.toolkit.reading import Reader, rows_of_batch
from probly.data_generator.toolkit.recording import (
    in_order_of_arrival,
    innermost_loader,
    record_indices,
)
from probly.data_generator.toolkit.recording import is_loader as is_loader  # noqa: PLC0414  # for those who look for it here
from probly.data_generator.toolkit.samples import (
    Batch,
    announced_length,
    check_batch_size,
    checked_indices,
    fetch,
    items_of,
    label_columns,
)


def loader_batches(
    loader: Any,
    input_getter: Getter | None,
    index_getter: Getter | None,
    pairs: tuple[type, ...] = (tuple,),
    stop: int | None = None,
    label_getter: Getter | None = None,
) -> Iterator[Batch]:
    """Iterate over a loader of batches; its sampler, where it has one, tells the indices.

    Raises:
        AlignmentError: The indices cannot be known, or a batch has another number of rows than its sampler chose; or
            there is no sampler, and something shuffles.
        ValueError: It never ends.
    """
    # A list is a pair here too: loaders that collate tuples commonly hand out lists.
    pairs = pairs if isinstance(loader, SimpleDataLoader) else (*pairs, list)
    recorded: deque[Any] | None = None
    asked = innermost_loader(loader) if index_getter is None else None
    if asked is not None:
        loader, recorded = record_indices(loader, stop)
    else:
        check_order(loader, index_getter)
    batches = _loader_batches(loader, asked, recorded, Reader(input_getter, label_getter, index_getter, pairs))
    # A sampler of single numbers counts only: each sample of its iterable dataset is a batch.
    in_order = index_getter is None and (asked is None or asked.batch_sampler is None)
    return batches if stop is None else _before(batches, stop, in_order=in_order)


def length_of_loader(loader: Any) -> int | None:
    """Return the number of rows that a loader reads from, whether it leaves some out or repeats them, or None."""
    asked = innermost_loader(loader)
    if asked is not None:
        return announced_length(asked.dataset)
    return source_rows(loader, batched=True) if is_graph(loader) else None


def _before(batches: Iterator[Batch], stop: int, *, in_order: bool) -> Iterator[Batch]:
    """Leave out the rows from ``stop`` on; of batches in order, none is asked for after the last one."""
    for batch in batches:
        kept = np.flatnonzero(batch.indices < stop)
        rows = len(batch.indices)
        if len(kept) == rows:
            yield batch
        elif len(kept):
            columns = {name: take_rows(column, kept, rows) for name, column in batch.columns.items()}
            yield Batch(batch.indices[kept], take_rows(batch.inputs, kept, rows), columns)
        if in_order and rows and batch.indices[-1] + 1 >= stop:
            return


def _loader_batches(loader: Any, asked: Any, recorded: deque[Any] | None, reader: Reader) -> Iterator[Batch]:
    start = 0
    for number, item in enumerate(items_of(loader)):
        where, known = f"batch {number}", None
        if reader.index_getter is not None:
            known = reader.index_getter(item)
        elif recorded is not None:
            if not recorded:
                raise AlignmentError(_bypassed(loader, f"{where} did not come from its sampler"))
            chosen = recorded.popleft()
            _check_chosen(chosen, number, asked)
            known = None if in_order_of_arrival(chosen) else chosen
        size = None if known is None else np.size(known)
        inputs, labels = reader.split_batch(item, size)
        if not isinstance(loader, SimpleDataLoader):
            inputs = map_leaves(_own_copy, inputs)
        rows = rows_of_batch(inputs, labels, size)
        indices = np.arange(start, start + rows) if known is None else checked_indices(known, rows, where)
        yield Batch(indices, inputs, label_columns(labels))
        start += rows
    if recorded and not in_order_of_arrival(recorded[0]):
        raise AlignmentError(_bypassed(loader, f"{len(recorded)} batches of its sampler were not handed out"))


def _own_copy(leaf: Any) -> Any:
    """Copy an array: a loader may fill it again before the batch has been computed, or computed a second time."""
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _bypassed(loader: Any, what: str) -> str:
    return (
        f"{type(loader).__name__}: {what}, so its rows have no index; pass its dataset, or a plain loader over that, "
        "which follows its sampler; or let the samples carry their index and set index_getter"
    )


def _check_chosen(chosen: Any, number: int, loader: Any) -> None:
    if in_order_of_arrival(chosen):
        if number == 0:
            check_order(loader.dataset)
        if getattr(loader, "num_workers", 0) > 1:
            message = (
                f"an iterable dataset read by {loader.num_workers} workers arrives in no defined order; "
                "use num_workers=1, or let the samples carry their index and set index_getter"
            )
            raise AlignmentError(message)
    elif not isinstance(chosen, list):
        message = (
            f"batch {number}: the loader has batch_size=None, so sample {chosen} of its dataset is a whole batch whose "
            "rows have no index; pass the dataset itself, or a sampler that yields lists of indices"
        )
        raise AlignmentError(message)


class _IndexBatches:
    def __init__(self, rows: int, batch_size: int, shuffle: bool, seed: int | None) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.random = np.random.default_rng(seed) if shuffle else None

    def __iter__(self) -> Iterator[list[int]]:
        order = np.arange(self.rows) if self.random is None else self.random.permutation(self.rows)
        for start in range(0, self.rows, self.batch_size):
            yield order[start : start + self.batch_size].tolist()

    def __len__(self) -> int:
        return (self.rows + self.batch_size - 1) // self.batch_size


class SimpleDataLoader:
    """Hand out a dataset in batches, without any framework.

    Args:
        dataset: Arrays, or a sequence of samples.
        batch_size: Rows per batch; the last batch may have fewer.
        shuffle: Whether to draw a new order at each iteration.
        seed: Makes the orders reproducible.

    Examples:
        >>> loader = SimpleDataLoader([(np.zeros(2), 0), (np.ones(2), 1), (np.ones(2), 1)], batch_size=2)
        >>> [labels.tolist() for inputs, labels in loader]
        [[0, 1], [1]]
    """

    def __init__(self, dataset: Any, batch_size: int = 64, shuffle: bool = False, *, seed: int | None = None) -> None:
        self.dataset = dataset
        self.batch_size = check_batch_size(batch_size)
        self._arrays = columns(dataset)
        if self._arrays is None and (isinstance(dataset, Mapping) or not hasattr(dataset, "__getitem__")):
            message = f"expected arrays of equal length or a sequence of samples, got {type(dataset).__name__}"
            raise TypeError(message)
        rows = len(dataset) if self._arrays is None else count_rows(self._arrays)
        self.batch_sampler = _IndexBatches(rows, self.batch_size, shuffle, seed)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Any]:
        """Yield batches: stacked arrays in the structure of a sample, or lists where samples do not stack."""
        for indices in self.batch_sampler:
            yield self.collate(indices)

    def collate(self, indices: list[int]) -> Any:
        """Return the batch of these indices."""
        if self._arrays is not None:
            return take_rows(self._arrays, np.asarray(indices))
        return collate(fetch(self.dataset, indices))
