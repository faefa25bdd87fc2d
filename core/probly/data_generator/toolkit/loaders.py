"""Loaders hand out whole batches; their samplers, also through loaders that wrap loaders, know which rows those are."""

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.nests import collate, columns, count_rows, map_leaves, take_rows
from probly.data_generator.toolkit.order import check_order
from probly.data_generator.toolkit.pipelines import is_graph, source_rows
from probly.data_generator.toolkit.reading import Reader, rows_of_batch
from probly.data_generator.toolkit.samples import (
    Batch,
    Batches,
    announced_length,
    check_batch_size,
    checked_indices,
    fetch,
    label_columns,
)

_MOST_WRAPPERS = 16


def is_loader(dataset: Any) -> bool:
    """Return whether an object hands out batches whose sampler can be asked for indices."""
    return hasattr(dataset, "batch_sampler") and hasattr(dataset, "dataset")


def loader_batches(loader: Any, reader: Reader, stop: int | None = None) -> Batches:
    """Iterate over a loader of batches; its sampler, where it has one, tells the indices, and else the order."""
    inner = _chain(loader)[-1][1]
    if is_loader(inner):
        length = announced_length(inner.dataset)
    else:
        length = source_rows(loader, batched=True) if is_graph(loader) else None
    recorded: deque[Any] | None = None
    if is_loader(inner) and reader.index_getter is None:
        loader, recorded = record_indices(loader, stop)
    else:
        check_order(loader, reader.index_getter)
    batches = _read(loader, inner, recorded, reader)
    # A sampler of single numbers counts only: each sample of its iterable dataset is a batch.
    in_order = reader.index_getter is None and (recorded is None or inner.batch_sampler is None)
    return Batches(batches if stop is None else _before(batches, stop, in_order=in_order), length)


def _before(batches: Iterator[Batch], stop: int, *, in_order: bool) -> Iterator[Batch]:
    """Leave out the rows from ``stop`` on; of batches in order, none is asked for after the last one."""
    if stop == 0:
        return
    for batch in batches:
        rows = len(batch.indices)
        kept = np.flatnonzero(batch.indices < stop)
        if len(kept) == rows:
            yield batch
        elif len(kept):
            first = slice(0, len(kept)) if kept[-1] == len(kept) - 1 else kept
            taken = {name: take_rows(column, first, rows) for name, column in batch.columns.items()}
            yield Batch(batch.indices[kept], take_rows(batch.inputs, first, rows), taken)
        if in_order and rows and batch.indices[-1] + 1 >= stop:
            return


def _read(loader: Any, inner: Any, recorded: deque[Any] | None, reader: Reader) -> Iterator[Batch]:
    start = 0
    # Without __iter__, Python would ask until the first IndexError, which may be a mistake, and slices never raise.
    items = loader if hasattr(loader, "__iter__") else (loader[number] for number in range(len(loader)))
    for number, item in enumerate(items):
        where, known = f"batch {number}", None
        if reader.index_getter is not None:
            known = reader.index_getter(item)
        elif recorded is not None:
            if not recorded:
                raise AlignmentError(_bypassed(loader, f"{where} did not come from its sampler"))
            chosen = recorded.popleft()
            _check_chosen(chosen, number, inner)
            known = None if _counts_only(chosen) else chosen
        size = None if known is None else np.size(known)
        inputs, labels = reader.split_batch(item, size)
        rows = rows_of_batch(inputs, labels, size)
        indices = np.arange(start, start + rows) if known is None else checked_indices(known, rows, where)
        # Copies: a loader may fill an array again before the batch has been computed, or computed a second time.
        inputs = map_leaves(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, inputs)
        yield Batch(indices, inputs, label_columns(labels))
        start += rows
    if recorded and not _counts_only(recorded[0]):
        raise AlignmentError(_bypassed(loader, f"{len(recorded)} batches of its sampler were not handed out"))


def _bypassed(loader: Any, what: str) -> str:
    return (
        f"{type(loader).__name__}: {what}, so its rows have no index; pass its dataset, or a plain loader over that, "
        "which follows its sampler; or let the samples carry their index and set index_getter"
    )


def _check_chosen(chosen: Any, number: int, loader: Any) -> None:
    if _counts_only(chosen):
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


def _counts_only(chosen: Any) -> bool:
    """Return whether a sampler counts only, as the one of an iterable dataset does: it has no indices to give."""
    return chosen is None or (isinstance(chosen, list) and bool(chosen) and chosen[0] is None)


# Asking the sampler


def _chain(loader: Any) -> list[tuple[str, Any]]:
    """Return a loader and those in it, to the innermost, each with the attribute under which the one around keeps it.

    Loaders that move batches to a device, or share them among processes, copy the settings of the one that they wrap,
    so they look like it, but never ask the sampler that is among these copies.
    """
    chain = [("", loader)]
    while len(chain) < _MOST_WRAPPERS:
        outer = chain[-1][1]
        inner = {
            id(value): (name, value)
            for name, value in getattr(outer, "__dict__", {}).items()
            # A dataset may well be made of a loader, but then its samples are what that hands out. A sampler is none.
            if name != "dataset" and "sampler" not in name and value is not outer and _is_read_from(value)
        }
        if len(inner) != 1:  # which of several is read is not seen
            return chain
        chain += inner.values()
    return [("", None)]  # a circle


def _is_read_from(value: Any) -> bool:
    kind = type(value)
    # Its own sampler, and not that of what it wraps.
    own = "batch_sampler" in getattr(value, "__dict__", {}) or hasattr(kind, "batch_sampler")
    return own and hasattr(kind, "__iter__") and hasattr(kind, "__len__") and is_loader(value)


class _RecordingSampler:
    """Keeps what a sampler chose, and chooses no row from ``stop`` on, so that no worker reads past it."""

    def __init__(self, sampler: Iterable[Any], recorded: deque[Any], stop: int | None) -> None:
        self._asked, self._recorded, self._stop = sampler, recorded, stop

    def __iter__(self) -> Iterator[Any]:
        arrived = 0
        for chosen in self._asked:
            # A NumPy or tensor scalar has __iter__, too, but is one index.
            single = not hasattr(chosen, "__iter__") or getattr(chosen, "ndim", 1) == 0
            kept = chosen if single else list(chosen)
            if self._stop is not None and not single:
                if _counts_only(kept):
                    if arrived >= self._stop:  # it counts without end
                        return
                    kept = kept[: self._stop - arrived]
                    arrived += len(kept)
                else:
                    kept = [index for index in kept if index < self._stop]
                    if not kept:
                        continue
            self._recorded.append(kept)
            yield kept

    def __len__(self) -> int:
        return len(self._asked)  # type: ignore[arg-type]  # asked only where the loader's own sampler has a length

    def __getattr__(self, name: str) -> Any:
        # Loaders and what wraps them ask a sampler for its settings, or tell it the epoch.
        if name == "_asked":  # while it is copied
            raise AttributeError(name)
        return getattr(self._asked, name)


def record_indices(loader: Any, stop: int | None = None) -> tuple[Any, deque[Any]]:
    """Return a twin of a loader and the queue to which its sampler's choices will be appended, batch by batch.

    The twin shares the dataset and all settings; the caller's loader, its workers and its iterator are not touched.
    """
    recorded: deque[Any] = deque()
    chain = _chain(loader)
    name, inner = chain.pop()
    twin = _twin_of(inner)
    which = "sampler" if inner.batch_sampler is None else "batch_sampler"
    vars(twin)[which] = _RecordingSampler(getattr(inner, which), recorded, stop)
    # in_order=False would let batches overtake each other; persistent workers would outlive the twin.
    changed = {"in_order": True, "persistent_workers": False, "_iterator": None}
    vars(twin).update({setting: value for setting, value in changed.items() if setting in vars(twin)})
    for outer_name, outer in reversed(chain):
        outer_twin = _twin_of(outer)
        vars(outer_twin)[name] = twin
        name, twin = outer_name, outer_twin
    return twin, recorded


def _twin_of(loader: Any) -> Any:
    """Return a shallow copy, also of a wrapper whose ``__getattr__`` would go round in circles while it is empty."""
    try:
        twin = object.__new__(type(loader))
    except TypeError:  # a built-in type with memory of its own
        return copy.copy(loader)
    vars(twin).update(vars(loader))
    return twin


# A loader of our own


class _IndexBatches:
    def __init__(self, rows: int, batch_size: int, shuffle: bool, seed: int | None) -> None:
        self.rows, self.batch_size, self.shuffle = rows, batch_size, shuffle
        self.random = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[list[int]]:
        order = self.random.permutation(self.rows) if self.shuffle else np.arange(self.rows)
        return (order[start : start + self.batch_size].tolist() for start in range(0, self.rows, self.batch_size))

    def __len__(self) -> int:
        return len(range(0, self.rows, self.batch_size))


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
