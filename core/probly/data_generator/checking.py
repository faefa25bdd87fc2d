"""Checking the rows of many batches at once: a NumPy call costs as much for 10 rows as for 1000."""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from probly.data_generator.outputs import BadRow, FloatRows, find_bad_row
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
            group.append(_kept(collected))
            numbers += collected.rows.size
            if numbers >= MOST_NUMBERS or time.monotonic() - since >= LONGEST_WAIT:
                yield group
                group, numbers, since = [], 0, time.monotonic()
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group


def _kept(collected: Collected) -> Collected:
    """Let go of the inputs, and of memory that a backend may use again for a later batch."""
    number, batch, rows = collected
    return Collected(
        number, Batch(batch.indices, None, batch.labels), rows.copy() if rows.size < MOST_NUMBERS else rows
    )


def first_bad(group: list[Collected]) -> tuple[Collected, BadRow] | None:
    """Return the first row of a group that is no distribution, with its position in its batch.

    Examples:
        >>> half, bad = np.full((2, 2), 0.5, np.float32), np.eye(2, dtype=np.float32)[[0]] * 2
        >>> batches = [Collected(number, Batch(np.arange(2), None), rows) for number, rows in enumerate((half, bad))]
        >>> found, row = first_bad(batches)
        >>> found.number, row
        (1, BadRow(position=0, reason='it sums to 2, not to 1 within 0.0001'))
    """
    columns = {collected.rows.shape[1] for collected in group}
    if len(group) > 1 and len(columns) == 1 and find_bad_row(np.concatenate([item.rows for item in group])) is None:
        return None
    for collected in group:
        bad = find_bad_row(collected.rows)
        if bad:
            return collected, bad
    return None
