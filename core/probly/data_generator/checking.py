"""Checking the rows of many batches at once: a NumPy call costs as much for 10 rows as for 1000."""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from probly.data_generator.outputs import FloatRows
from probly.data_generator.samples import Batch

MOST_NUMBERS = 2**15
"""The numbers that wait at most; a batch of more is checked by itself."""
LONGEST_WAIT = 0.05
"""The seconds between two groups, so that the rows of a slow model do not wait for the next batch."""


class Collected(NamedTuple):
    """The rows of one batch in host memory, unchecked.

    Attributes:
        number: Its place in the run, for messages.
        batch: The batch.
        rows: Shape ``(N, classes)``.
    """

    number: int
    batch: Batch
    rows: FloatRows


def in_groups(batches: Iterable[Collected]) -> Iterator[list[Collected]]:
    """Yield lists of batches in order; what came before an error is yielded before it is raised."""
    group: list[Collected] = []
    numbers, since = 0, -LONGEST_WAIT  # the first batch does not wait: most mistakes show there
    try:
        for collected in batches:
            number, batch, rows = collected
            numbers += rows.size
            # Inputs are let go, and so is memory that a backend may use again for a later batch.
            kept = rows if rows.size >= MOST_NUMBERS else rows.copy()
            group.append(Collected(number, Batch(batch.indices, None, batch.labels), kept))
            if numbers >= MOST_NUMBERS or time.monotonic() - since >= LONGEST_WAIT:
                yield group
                group, numbers, since = [], 0, time.monotonic()
    except GeneratorExit:  # nobody asks for more
        raise
    except BaseException:  # Ctrl-C and SIGTERM included
        if group:
            yield group
        raise
    if group:
        yield group


def joined(group: list[Collected]) -> Collected | None:
    """Return a group as one batch, or None where its parts do not fit together.

    Examples:
        >>> rows = np.full((2, 2), 0.5, np.float32)
        >>> whole = joined([Collected(number, Batch(np.arange(2), None), rows) for number in range(3)])
        >>> whole.batch.indices, whole.rows.shape
        (array([0, 1, 0, 1, 0, 1]), (6, 2))
    """
    labels = [collected.batch.labels for collected in group]
    if len({collected.rows.shape[1] for collected in group}) > 1 or len(set(map(_kind_of, group))) > 1:
        return None
    batch = Batch(
        np.concatenate([collected.batch.indices for collected in group]),
        None,
        None if labels[0] is None else np.concatenate(labels),
    )
    return Collected(group[0].number, batch, np.concatenate([collected.rows for collected in group]))


def _kind_of(collected: Collected) -> object:
    """Return what the labels of two batches must share to be joined; of those that cannot be, the batch itself."""
    labels = collected.batch.labels
    if labels is None:
        return None
    if isinstance(labels, np.ndarray) and labels.shape[:1] == (len(collected.rows),):
        return labels.dtype, labels.shape[1:]
    return id(collected)
