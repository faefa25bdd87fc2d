"""Loaders hand out whole batches; their samplers know which rows those are."""

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.nests import collate, columns, count_rows, map_leaves, take_rows
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.reading import Reader, rows_of_batch
from probly.data_generator.toolkit.samples import (
    Batch,
    check_batch_size,
    checked_indices,
    fetch,
    items_of,
    label_columns,
)


def is_loader(dataset: Any) -> bool:
    """Return whether an object hands out batches whose sampler can be asked for indices."""
    return hasattr(dataset, "batch_sampler") and hasattr(dataset, "dataset")


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
        AlignmentError: The indices cannot be known, or a batch has another number of rows than its sampler chose.
    """
    # A list is a pair here too: loaders that collate tuples commonly hand out lists.
    pairs = pairs if isinstance(loader, SimpleDataLoader) else (*pairs, list)
    recorded: deque[Any] | None = None
    if is_loader(loader) and index_getter is None:
        loader, recorded = record_indices(loader, stop)
    batches = _loader_batches(loader, recorded, Reader(input_getter, label_getter, index_getter, pairs))
    # A sampler of single numbers counts only: each sample of its iterable dataset is a batch.
    in_order = index_getter is None and (recorded is None or loader.batch_sampler is None)
    return batches if stop is None else _before(batches, stop, in_order=in_order)


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


def _loader_batches(loader: Any, recorded: deque[Any] | None, reader: Reader) -> Iterator[Batch]:
    start = 0
    for number, item in enumerate(items_of(loader)):
        where, known = f"batch {number}", None
        if reader.index_getter is not None:
            known = reader.index_getter(item)
        elif recorded is not None:
            if not recorded:
                raise AlignmentError(_bypassed(loader, f"{where} did not come from its sampler"))
            chosen = recorded.popleft()
            _check_chosen(chosen, number, loader)
            known = None if _in_order_of_arrival(chosen) else chosen
        size = None if known is None else np.size(known)
        inputs, labels = reader.split_batch(item, size)
        if not isinstance(loader, SimpleDataLoader):
            inputs = map_leaves(_own_copy, inputs)
        rows = rows_of_batch(inputs, labels, size)
        indices = np.arange(start, start + rows) if known is None else checked_indices(known, rows, where)
        yield Batch(indices, inputs, label_columns(labels))
        start += rows
    if recorded and not _in_order_of_arrival(recorded[0]):
        raise AlignmentError(_bypassed(loader, f"{len(recorded)} batches of its sampler were not handed out"))


def _own_copy(leaf: Any) -> Any:
    """Copy an array: a loader may fill it again before the batch has been computed, or computed a second time."""
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _bypassed(loader: Any, what: str) -> str:
    return (
        f"{type(loader).__name__}: {what}, so its rows have no index; pass the dataset or a loader that follows its "
        "sampler, or let the samples carry their index and set index_getter"
    )


def _in_order_of_arrival(chosen: Any) -> bool:
    """Return whether a sampler counts only, as the one of an iterable dataset does: it has no indices to give."""
    return chosen is None or (isinstance(chosen, list) and bool(chosen) and chosen[0] is None)


def _check_chosen(chosen: Any, number: int, loader: Any) -> None:
    if _in_order_of_arrival(chosen):
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


class _RecordingSampler:
    """Keeps what a sampler chose, and chooses no row from ``stop`` on, so that no worker reads past it."""

    def __init__(self, sampler: Iterable[Any], recorded: deque[Any], stop: int | None) -> None:
        self.sampler, self.recorded, self.stop = sampler, recorded, stop

    def __iter__(self) -> Iterator[Any]:
        arrived = 0
        for chosen in self.sampler:
            # A NumPy or tensor scalar has __iter__, too, but is one index.
            single = not hasattr(chosen, "__iter__") or getattr(chosen, "ndim", 1) == 0
            kept = chosen if single else list(chosen)
            if self.stop is not None and not single:
                if _in_order_of_arrival(kept):
                    if arrived >= self.stop:  # it counts without end
                        return
                    kept = kept[: self.stop - arrived]
                    arrived += len(kept)
                else:
                    kept = [index for index in kept if index < self.stop]
                    if not kept:
                        continue
            self.recorded.append(kept)
            yield kept

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]  # asked only where the loader's own sampler has a length


def record_indices(loader: Any, stop: int | None = None) -> tuple[Any, deque[Any]]:
    """Return a twin of a loader and the queue to which its sampler's choices will be appended, batch by batch.

    The twin shares the dataset and all settings; the caller's loader, its workers and its iterator are not touched.
    """
    recorded: deque[Any] = deque()
    twin = copy.copy(loader)
    which = "sampler" if loader.batch_sampler is None else "batch_sampler"
    settings = vars(twin)
    settings[which] = _RecordingSampler(getattr(loader, which), recorded, stop)
    # in_order=False would let batches overtake each other; persistent workers would outlive the twin.
    for name, value in {"in_order": True, "persistent_workers": False, "_iterator": None}.items():
        if name in settings:
            settings[name] = value
    return twin, recorded


class _IndexBatches:
    def __init__(self, rows: int, batch_size: int, shuffle: bool, seed: int | None) -> None:
        self.rows = rows
        self.batch_size = batch_size
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
