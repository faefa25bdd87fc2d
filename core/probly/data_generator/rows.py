"""What a row is: float32, finite, entries within [0, 1], sum 1. The one check of runs and of files."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FloatRows = npt.NDArray[np.float32]

ENTRY_TOLERANCE = 1e-6
"""What rounding may take an entry below 0, or a sum from 1: such an entry becomes 0, such a sum stays as it is."""
SUM_TOLERANCE = 1e-4
"""What a sum may miss 1 by; a row that misses it by more than rounding is divided by its sum, and counted."""
HALF_TOLERANCE = 2.0**-7
"""The same for numbers of 16 bits: bfloat16 keeps 8 bits of each, which take a sum no further; a larger miss shows."""
DECIMALS_TOLERANCE = 0.05
"""The same, at most, for numbers that a file holds in few decimals; see ``decimals_tolerance``."""
SURELY_WITHIN = 7e-7
"""What a sum that is computed quickly, in float32, may miss 1 by without a closer look."""

QUANTUM = 2.0**-53
"""Every multiple of it within [0, 1] is a float64, so sums of such numbers are exact in any order."""


class BadRow(NamedTuple):
    """The first of some rows that is no distribution, and what is wrong with it."""

    position: int
    reason: str


class Checked(NamedTuple):
    """Rows that were looked at.

    Attributes:
        rows: The given array where nothing had to be changed, else a new one: entries that rounding has taken below 0
            are 0, and rows that missed 1 are divided by their sum.
        normalised: Which rows were divided by their sum, shape ``(N,)``; None for none.
        bad: The first row that is no distribution, or None.
    """

    rows: FloatRows
    normalised: npt.NDArray[np.bool_] | None = None
    bad: BadRow | None = None

    @property
    def divided(self) -> int:
        """How many rows were divided by their sum."""
        return 0 if self.normalised is None else int(np.count_nonzero(self.normalised))


def check_rows(rows: FloatRows, tolerance: float = SUM_TOLERANCE) -> Checked:
    """Check rows, and take out what rounding has left.

    Args:
        rows: Shape ``(N, classes)``.
        tolerance: What the sum of a row may miss 1 by: more where the numbers came in fewer digits.

    Examples:
        >>> checked = check_rows(np.array([[1.0, -1e-7], [0.50002, 0.5]], dtype=np.float32))
        >>> checked.rows
        array([[1.     , 0.     ],
               [0.50001, 0.49999]], dtype=float32)
        >>> checked.divided, checked.bad
        (1, None)
        >>> check_rows(np.array([[0.5, 0.5], [1.5, -0.5]], dtype=np.float32)).bad
        BadRow(position=1, reason='it has a negative entry, -0.5')
    """
    if rows.size == 0:
        return Checked(rows, bad=None if len(rows) == 0 else BadRow(0, "it has no classes"))
    # einsum takes a third of the time of sum, which adds more exactly and is asked where something may be wrong.
    # NaN and infinity fail the comparisons, so two passes over the rows cover all rules.
    sums = np.einsum("ij->i", rows)
    if sums.min() >= 1.0 - SURELY_WITHIN and sums.max() <= 1.0 + SURELY_WITHIN and rows.min() >= 0:
        return Checked(rows)
    return _look_closely(rows, tolerance)


def _look_closely(rows: FloatRows, tolerance: float) -> Checked:
    with np.errstate(invalid="ignore", over="ignore"):
        clean = np.maximum(rows, 0)  # keeps NaN; a copy
        sums = clean.sum(axis=1, dtype=np.float64)
        miss = np.abs(sums - 1.0)
        good = (miss <= tolerance) & (rows >= -ENTRY_TOLERANCE).all(axis=1)
        normalised = good & (miss > ENTRY_TOLERANCE)
    if normalised.any():
        clean[normalised] /= sums[normalised, None]
    return Checked(clean, normalised if normalised.any() else None, None if good.all() else _bad_row(rows, good))


def _bad_row(rows: FloatRows, good: npt.NDArray[np.bool_]) -> BadRow:
    position = int(np.argmin(good))
    row = rows[position]
    if not np.isfinite(row).all():
        return BadRow(position, f"it has a value that is not finite, {row[~np.isfinite(row)][0]}")
    if row.min() < -ENTRY_TOLERANCE:
        return BadRow(position, f"it has a negative entry, {row.min():.6g}")
    total = row.sum(dtype=np.float64)
    return BadRow(position, f"it sums to {total:.6g}, not to 1 within {SUM_TOLERANCE:g}")


def check_members(members: npt.NDArray[Any], classes: int, tolerance: float | None = None) -> Checked:
    """Check the distributions that rows are the mean of, in the same way; ``bad`` has the place of the sample.

    Args:
        members: Shape ``(N, members, classes)``.
        classes: How many the rows have.
        tolerance: See ``check_rows``; by default that of their dtype.

    Examples:
        >>> check_members(np.array([[[1.0, 0.0], [0.5, 0.25]]]), 2).bad
        BadRow(position=0, reason='member 1: it sums to 0.75, not to 1 within 0.0001')
    """
    if members.ndim != 3 or members.shape[2] != classes:
        reason = f"its members are no array of the shape (samples, members, {classes}), but {members.shape}"
        return Checked(members, bad=BadRow(0, reason))
    with np.errstate(over="ignore"):
        flat = np.asarray(members, np.float32).reshape(len(members) * members.shape[1], classes)
    checked = check_rows(flat, tolerance_of(members) if tolerance is None else tolerance)
    bad = checked.bad
    if bad is not None:
        row, member = divmod(bad.position, members.shape[1])
        bad = BadRow(row, f"member {member}: {bad.reason}")
    return Checked(checked.rows.reshape(members.shape), bad=bad)


def find_bad_row(rows: FloatRows) -> BadRow | None:
    """Return the first row that is not finite, has a negative entry or does not sum to 1, each up to rounding.

    Args:
        rows: Shape ``(N, classes)``.

    Examples:
        >>> find_bad_row(np.array([[0.25, 0.75], [0.25, 0.25]], dtype=np.float32))
        BadRow(position=1, reason='it sums to 0.5, not to 1 within 0.0001')
        >>> find_bad_row(np.array([[0.25, 0.75]], dtype=np.float32)) is None
        True
    """
    return check_rows(rows).bad


def tolerance_of(values: npt.NDArray[Any]) -> float:
    """Return what the sums of a file's or a user's numbers may miss 1 by, from their dtype alone.

    Examples:
        >>> tolerance_of(np.zeros((1, 2), np.float16)), tolerance_of(np.zeros((1, 2)))
        (0.0078125, 0.0001)
    """
    return HALF_TOLERANCE if values.dtype == np.float16 else SUM_TOLERANCE


def decimals_tolerance(values: npt.NDArray[Any]) -> float:
    """Return what the sums of rows may miss 1 by whose numbers were written with few decimals.

    Rounding to ``d`` decimals moves each of ``C`` numbers by at most half of the last one, so a sum moves by at most
    ``C / 2 / 10 ** d``. A single decimal is none that anybody rounds probabilities to.

    Args:
        values: float64, shape ``(N, classes)``.

    Examples:
        >>> round(decimals_tolerance(np.array([[0.33, 0.33, 0.33]])), 4)
        0.015
        >>> decimals_tolerance(np.array([[0.123456789, 0.87]]))
        0.0001
    """
    for decimals in range(2, 7):
        scaled = values * 10.0**decimals
        if np.isfinite(scaled).all() and (np.abs(scaled - np.rint(scaled)) < 1e-6).all():
            moved = values.shape[1] * 0.5 / 10.0**decimals
            return max(SUM_TOLERANCE, min(moved * (1 + 1e-9), DECIMALS_TOLERANCE)) if moved else SUM_TOLERANCE
    return SUM_TOLERANCE


def exact_rows(rows: FloatRows) -> npt.NDArray[np.float64]:
    """Return rows in float64 whose sums are 1 exactly, in whatever order they are added up: multiples of ``QUANTUM``.

    Examples:
        >>> exact_rows(np.float32([[0.1, 0.2, 0.7]])).sum(axis=1)
        array([1.])
    """
    exact = rows.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    counts = np.rint(exact / QUANTUM)
    counts[(counts == 0) & (rows > 0)] = 1
    left = 2**53 - counts.astype(np.int64).sum(axis=1)
    counts[np.arange(len(counts)), counts.argmax(axis=1)] += left
    return counts * QUANTUM
