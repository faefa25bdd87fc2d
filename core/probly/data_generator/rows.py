"""What a row is: float32, finite, not negative, sum 1. The one check of runs and of files."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatRows = npt.NDArray[np.float32]

SUM_TOLERANCE = 1e-4
SURELY_WITHIN = 0.9 * SUM_TOLERANCE
"""What a sum that is computed quickly may miss 1 by without a closer look."""


class BadRow(NamedTuple):
    """The first of some rows that is no distribution, and what is wrong with it."""

    position: int
    reason: str


def find_bad_row(rows: FloatRows) -> BadRow | None:
    """Return the first row that is not finite, has a negative entry or does not sum to 1 within 1e-4.

    Args:
        rows: Shape ``(N, classes)``.

    Examples:
        >>> find_bad_row(np.array([[0.5, 0.5], [1.5, -0.5]], dtype=np.float32))
        BadRow(position=1, reason='it has a negative entry, -0.5')
        >>> find_bad_row(np.array([[0.25, 0.75]], dtype=np.float32)) is None
        True
    """
    if rows.size == 0:
        return None if len(rows) == 0 else BadRow(0, "it has no classes")
    # einsum takes a third of the time of sum, which adds more exactly and is asked where something may be wrong.
    # NaN and infinity fail the comparisons, so two passes over the rows cover all three rules.
    sums = np.einsum("ij->i", rows)
    if sums.min() >= 1.0 - SURELY_WITHIN and sums.max() <= 1.0 + SURELY_WITHIN and rows.min() >= 0:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        sums = rows.sum(axis=1)
        good = (np.abs(sums - 1.0) <= SUM_TOLERANCE) & (rows >= 0).all(axis=1)
    if good.all():
        return None
    position = int(np.argmin(good))
    row = rows[position]
    if not np.isfinite(row).all():
        return BadRow(position, f"it has a value that is not finite, {row[~np.isfinite(row)][0]}")
    if row.min() < 0:
        return BadRow(position, f"it has a negative entry, {row.min():.6g}")
    return BadRow(position, f"it sums to {sums[position]:.6g}, not to 1 within {SUM_TOLERANCE:g}")
