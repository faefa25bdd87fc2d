"""Reading rows and members block by block: memory is bounded by numbers, whatever the number of rows and classes."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import AlignmentError, InvalidOutputError
from probly.data_generator.rows import ENTRY_TOLERANCE, find_bad_row, tolerance_of
from probly.data_generator.toolkit.samples import Indices

NUMBERS_AT_ONCE = 1 << 16
"""How many numbers of a source a block has: half a MB of float64, which stays in the processor's cache."""
FREED = 1 << 24
"""The bytes of an array whose end makes glibc keep as much for the next ones, where it would give each block's memory
back to the system and ask for it again, which takes longer than most of what is computed in it."""
WORKERS = min(4, os.cpu_count() or 1)
"""Threads; NumPy computes without Python's lock, so a second one halves the time."""
SMALLEST = float(np.finfo(np.float32).tiny)
"""What a probability of 0 counts as in a logarithm that must stay finite, as in the metrics of the core."""

Floats = npt.NDArray[np.float64]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Rows:
    """One row of numbers per sample, or one per member and sample, read when they are asked for.

    Attributes:
        source: An array, or distributions.
        indices: The dataset index of each row: what errors name.
        keyed: Whether these are indices of a dataset; the rows of an array have only their places.
        counts: Whether they are counts, which become distributions when they are divided by their sum.
        chosen: The places of the rows in the source, or None for all of them.
        names: The name of each column, where known.
    """

    source: Any
    indices: Indices
    keyed: bool
    counts: bool = False
    chosen: Indices | None = None
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.indices)

    @property
    def classes(self) -> int:
        """The number of columns."""
        return int(self.source.num_classes if isinstance(self.source, Distributions) else self.source.shape[-1])

    @property
    def members(self) -> int:
        """The number of members; 1 for rows."""
        return 1 if isinstance(self.source, Distributions) or len(self.source.shape) == 2 else self.source.shape[1]

    @property
    def rounding(self) -> float:
        """What the rounding of the source's dtype may move a row, in any of the distances used here."""
        if self.counts:
            return ROUNDING[8]
        return ROUNDING[4] if isinstance(self.source, Distributions) else ROUNDING[np.dtype(self.source.dtype).itemsize]

    def exactly(self, part: slice) -> Floats:
        """Return a block as it is stored, checked, in float64."""
        if isinstance(self.source, Distributions):
            return self.source.gather(self.indices[part]).astype(np.float64)
        values = np.asarray(self.source[part] if self.chosen is None else self.source[self.chosen[part]])
        exact = values.astype(np.float64)
        if self.counts:
            exact /= exact.sum(axis=-1, keepdims=True)
        else:
            self._check(exact, tolerance_of(values), part)
        return exact

    def read(self, part: slice) -> Floats:
        """Return a block in float64, every row divided by its sum: what float32 has left of it is 1e-7 and more."""
        exact = self.exactly(part)
        exact /= exact.sum(axis=-1, keepdims=True)
        return exact

    def take(self, places: Indices) -> "Rows":
        """Return some of the rows, by their places."""
        chosen = places if self.chosen is None else self.chosen[places]
        return replace(self, indices=self.indices[places], chosen=chosen)

    def _check(self, exact: Floats, tolerance: float, part: slice) -> None:
        """Take out what rounding has left below 0, and refuse what is no distribution."""
        if exact.min(initial=0.0) < 0:
            negative = exact < -ENTRY_TOLERANCE
            np.maximum(exact, 0.0, out=exact, where=~negative)
        else:
            negative = np.zeros((1,) * exact.ndim, bool)
        good = (np.abs(exact.sum(axis=-1) - 1.0) <= tolerance) & ~negative.any(axis=-1)
        if not good.all():
            place = tuple(np.argwhere(~good)[0].tolist())
            bad = find_bad_row(exact[place][None, :].astype(np.float32))
            member = f", member {place[1]}," if len(place) > 1 else ""
            message = (
                f"the row of index {self.indices[part][place[0]]}{member} is no distribution: "
                f"{bad.reason if bad else 'its sum is not 1'}; counts of votes are HumanVotes(counts), and logits or "
                "scores become rows when a generator makes them"
            )
            raise InvalidOutputError(message)


ROUNDING = {2: 2.0**-10, 4: 1e-6, 8: 1e-9}
"""By the bytes of a number. Rounding moves each of float32 by 6e-8 of itself, so a row by no more than that."""


def rows_of(source: Any, name: str = "rows") -> Rows:
    """Return a source of rows.

    Args:
        source: Distributions, any mapping from index to row, HumanVotes (their frequencies), or an array of shape
            ``(samples, classes)``, which may be a memory map.
        name: What errors call it.

    Raises:
        TypeError: It is none of these.
        ValueError: It has another shape.

    Examples:
        >>> rows_of(np.float32([[0.25, 0.75]])).read(slice(None))
        array([[0.25, 0.75]])
    """
    if isinstance(source, Rows):
        return source
    if hasattr(source, "as_rows"):
        made: Rows = source.as_rows()
        return made
    if isinstance(source, Mapping):
        distributions = Distributions.from_mapping(source)
        names = distributions.class_names
        return Rows(distributions, distributions.indices, keyed=True, names=None if names is None else tuple(names))
    array = _floats(source, name)
    if len(array.shape) != 2:
        hint = "; these are members, whose mean is members.mean(axis=1)" if len(array.shape) == 3 else ""
        message = f"{name}: expected the shape (samples, classes), got {tuple(array.shape)}{hint}"
        raise ValueError(message)
    return Rows(array, np.arange(array.shape[0]), keyed=False)


def members_of(source: Any) -> Rows:
    """Return a source of members.

    Args:
        source: An array of shape ``(samples, members, classes)``, which may be a memory map, or an object that has
            such an array as ``members``, and maybe the ``indices`` of the samples.

    Raises:
        TypeError: It is neither.
        ValueError: It has another shape, or no members.

    Examples:
        >>> members_of(np.full((2, 5, 4), 0.25)).members
        5
    """
    held = getattr(source, "members", None) if not isinstance(source, np.ndarray) else source
    if isinstance(source, Rows):
        return source
    if held is None and isinstance(source, Mapping):
        message = (
            "these distributions have no members, only their mean: expected an array of shape (samples, members, "
            "classes), or distributions with such an array as .members; generate them with several models or passes"
        )
        raise TypeError(message)
    array = _floats(source if held is None else held, "members")
    if len(array.shape) != 3 or array.shape[1] == 0:
        message = f"members: expected the shape (samples, members, classes), got {tuple(array.shape)}"
        raise ValueError(message)
    indices = None if held is source else getattr(source, "indices", None)
    if indices is not None and len(indices) != array.shape[0]:
        message = f"members: expected one sample per index ({len(indices)}), got {array.shape[0]}"
        raise AlignmentError(message)
    places = np.arange(array.shape[0]) if indices is None else np.asarray(indices)
    return Rows(array, places, keyed=indices is not None)


def _floats(source: Any, name: str) -> Any:
    """Return an array of floats, or what can be read like one; nothing is copied that has a dtype of NumPy."""
    kept = hasattr(source, "shape") and isinstance(getattr(source, "dtype", None), np.dtype)  # tensors have none
    array = source if kept else np.asarray(source)
    kind = np.dtype(array.dtype)
    if kind.kind != "f" or kind.itemsize not in ROUNDING:
        message = (
            f"{name}: expected probabilities as float16, float32 or float64, got {kind}; counts of votes are "
            "HumanVotes(counts)"
        )
        raise TypeError(message)
    return array


def _positions(rows: Rows) -> tuple[str, ...]:
    """Return what classes without names are called."""
    return tuple(map(str, range(rows.classes)))


def paired(first: Rows, second: Rows, name: str) -> Rows:
    """Return of the second the rows that belong to those of the first: by index where both have one, else by place.

    Args:
        first: What is evaluated.
        second: What it is held against; it may have more samples than the first.
        name: What errors call the second.

    Raises:
        AlignmentError: A sample of the first is not in the second, or there is another number of them.
        ValueError: They have another number of classes, or their names in another order; or the second are votes for
            classes by name, and the first has none.

    Examples:
        >>> whole = rows_of({0: [1.0, 0.0], 7: [0.5, 0.5]})
        >>> paired(rows_of({7: [0.0, 1.0]}), whole, "truth").read(slice(None))
        array([[0.5, 0.5]])
    """
    if first.classes != second.classes:
        message = f"{name}: expected {first.classes} classes, as the rows have, got {second.classes}"
        raise ValueError(message)
    if first.names is not None and second.names is not None and first.names != second.names:
        column = next(column for column in range(first.classes) if first.names[column] != second.names[column])
        message = (
            f"{name}: column {column} is {second.names[column]!r}, and that of the rows is {first.names[column]!r}; "
            "bring them into one order, such as votes.in_order_of(distributions.class_names)"
        )
        raise ValueError(message)
    if second.counts and first.keyed and first.names is None and second.names not in (None, _positions(second)):
        message = (
            f"{name}: column 0 is {second.names[0]!r}, but the columns of the rows have no names, so nothing tells "
            "whether they are in one order; name them when the rows are made, "
            "FirstOrderDataGenerator(..., class_names=[...]); or bring the votes into their order, "
            "votes = votes.in_order_of([...]), and drop the names, HumanVotes(votes.counts, votes.indices)"
        )
        raise ValueError(message)
    if not (first.keyed and second.keyed):
        if len(first) != len(second):
            message = (
                f"{name}: expected {len(first)} rows, as many as there are to be compared with, got {len(second)}; "
                "where only some have one, give both as Distributions or HumanVotes with their indices"
            )
            raise AlignmentError(message)
        return second
    if np.array_equal(first.indices, second.indices):
        return second
    order = np.argsort(second.indices, kind="stable")
    places = np.minimum(np.searchsorted(second.indices, first.indices, sorter=order), max(len(second) - 1, 0))
    found = np.zeros(len(first), bool) if not len(second) else second.indices[order[places]] == first.indices
    if not found.all():
        message = (
            f"{name}: nothing for index {first.indices[~found][0]} ({np.count_nonzero(~found)} of {len(first)} have "
            "none); evaluate only those that have one, such as Distributions(rows.gather(indices), indices)"
        )
        raise AlignmentError(message)
    return second.take(order[places])


def each_block(function: Callable[[slice], Result], rows: int, width: int) -> Iterator[Result]:
    """Yield what a function returns for each block of rows, in order; it is called in a few threads.

    Args:
        function: Takes the slice of a block.
        rows: How many there are.
        width: How many numbers a row has.

    Examples:
        >>> list(each_block(lambda part: part.stop, rows=3, width=NUMBERS_AT_ONCE))
        [1, 2, 3]
    """
    step = max(1, NUMBERS_AT_ONCE // max(1, width))
    parts = [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
    if len(parts) < 2:
        yield from map(function, parts)
        return
    np.empty(FREED, np.uint8)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(function, part))
                if len(waiting) > 2 * WORKERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def entropies(rows: Floats) -> Floats:
    """Return the Shannon entropy ``-sum p log p`` over the last axis in nats, where ``0 log 0 = 0``.

    Source: Shannon (1948), https://doi.org/10.1002/j.1538-7305.1948.tb01338.x, with the natural logarithm.

    Args:
        rows: float64 distributions, shape ``(..., classes)``.

    Examples:
        >>> entropies(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4)
        array([0.6931, 0.    ])
    """
    terms = np.maximum(rows, np.finfo(np.float64).tiny)
    np.log(terms, out=terms)
    terms *= rows
    found: Floats = np.maximum(-terms.sum(axis=-1), 0.0)
    return found
