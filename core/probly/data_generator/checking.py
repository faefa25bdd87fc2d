"""Checking the rows of many batches at once: a NumPy call costs as much for 10 rows as for 1000."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from probly.data_generator.outputs import FloatRows
from probly.data_generator.samples import Batch, Indices

MOST_NUMBERS = 2**14
"""The numbers of a group: it ends with the batch that reaches them."""
LONGEST_WAIT = 0.05
"""The seconds between two groups, so that the rows of a slow model do not wait for the next batch."""


Room = Callable[[int], FloatRows | None]
"""Returns the memory that rows of so many classes are going to end in, if any: there they need not be copied again."""


class Collected(NamedTuple):
    """The rows of one batch in host memory, unchecked, and what is known of them; the inputs are let go.

    Attributes:
        number: The batch's place in the run, for messages.
        indices: Shape ``(N,)``.
        labels: One per row, or None.
        rows: Together of shape ``(N, classes)``; one array, or several that follow each other.
    """

    number: int
    indices: Indices
    labels: Any
    rows: list[FloatRows]


class Group:
    """Consecutive batches whose rows, of equally many classes, stand together in one array.

    Args:
        room: Asked by the first batch of a group, when those of the group before have been used.

    Attributes:
        parts: The batches, each with the place where its rows end.

    Examples:
        >>> group = Group()
        >>> for number in range(2):
        ...     added = group.add(Collected(number, np.arange(3), None, [np.full((3, 2), 0.5, np.float32)]))
        >>> group.rows.shape, group.joined().indices
        ((6, 2), array([0, 1, 2, 0, 1, 2]))
    """

    def __init__(self, room: Room | None = None) -> None:
        self._room = room
        self._memory: FloatRows = np.empty((0, 0), np.float32)
        self.clear()

    def clear(self) -> None:
        """Forget all batches; the memory stays, because new one takes longer to touch than small rows to copy."""
        self.parts: list[tuple[Collected, int]] = []
        self._rows = self._memory

    @property
    def rows(self) -> FloatRows:
        """The rows of all batches, until ``clear``."""
        return self._rows[: self._stop]

    @property
    def _stop(self) -> int:
        return self.parts[-1][1] if self.parts else 0

    def add(self, collected: Collected) -> bool:
        """Append a batch if it fits in, and return whether it does; a single batch always does."""
        rows = collected.rows
        if not self.parts:
            self._rows = self._memory_for(rows, len(collected.indices))
        start = self._stop
        stop = start + len(collected.indices)
        if rows[0].shape[1] != self._rows.shape[1] or stop > len(self._rows):
            return False
        if self._rows is not rows[0]:
            np.concatenate(rows, out=self._rows[start:stop])
        self.parts.append((collected, stop))  # at once, because Ctrl-C may come between any two steps
        return True

    def _memory_for(self, rows: list[FloatRows], count: int) -> FloatRows:
        """Return memory for a first batch, and for others where it is not a large one."""
        classes = rows[0].shape[1]
        lent = self._room(classes) if self._room else None
        if lent is not None and len(lent) >= count and lent.shape[1] == classes:
            return lent
        if count * max(classes, 1) >= MOST_NUMBERS:  # a large one brings its own
            return rows[0] if len(rows) == 1 else np.empty((count, classes), np.float32)
        if self._memory.shape[1] != classes or not len(self._memory):
            self._memory = np.empty((2 * MOST_NUMBERS // max(classes, 1), classes), np.float32)
        return self._memory

    def is_full(self) -> bool:
        """Return whether no further batch should wait."""
        return self.rows.size >= MOST_NUMBERS

    def joined(self) -> Batch | None:
        """Return all batches as one, or None where their labels do not fit together."""
        parts = [part for part, _ in self.parts]
        first = parts[0]
        if len(parts) == 1:
            return Batch(first.indices, None, first.labels)
        kind = _kind_of(first)
        if any(_kind_of(part) != kind for part in parts):
            return None
        labels = None if first.labels is None else np.concatenate([part.labels for part in parts])
        return Batch(np.concatenate([part.indices for part in parts]), None, labels)


def _kind_of(collected: Collected) -> object:
    """Return what the labels of two batches must share to be joined; of those that cannot be, the batch itself."""
    labels = collected.labels
    if labels is None:
        return None
    if isinstance(labels, np.ndarray) and labels.shape[:1] == (len(collected.indices),):
        return labels.dtype, labels.shape[1:]
    return id(collected)


def in_groups(batches: Iterable[Collected], room: Room | None = None) -> Iterator[Group]:
    """Yield batches in order, many at once; what came before an error is yielded before it is raised.

    It is the same group each time, with other batches in it.
    """
    group = Group(room)
    since = -LONGEST_WAIT  # the first batch does not wait: most mistakes show there
    try:
        for collected in batches:
            if not group.add(collected):
                yield group
                group.clear()
                group.add(collected)
            if group.is_full() or time.monotonic() - since >= LONGEST_WAIT:
                yield group
                group.clear()
                since = time.monotonic()
    except GeneratorExit:  # nobody asks for more
        raise
    except BaseException:  # Ctrl-C and SIGTERM included
        if group.parts:
            yield group
        raise
    if group.parts:
        yield group
