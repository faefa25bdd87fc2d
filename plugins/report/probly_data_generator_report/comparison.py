"""How far two sets of distributions of the same samples are apart, e.g. those of two models or of two formats."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.rows import FloatRows
from probly.data_generator.toolkit.samples import Indices

NUMBERS_AT_ONCE = 1 << 20
"""How much of each side is in memory at a time."""
ROUNDING = 1e-6
"""What float32 makes of a sum of probabilities."""
TINY = float(np.finfo(np.float32).tiny)

Floats = npt.NDArray[np.float64]


def compare(first: Mapping[int, Any], second: Mapping[int, Any]) -> dict[str, Any]:
    r"""Return the differences between two sets of distributions, rows matched by dataset index, in bounded memory.

    With rows p (first) and q (second) of the same index, and columns c:

    - difference: ``|p_c - q_c|``, its largest value and its mean over all numbers;
    - total variation: ``sum_c |p_c - q_c| / 2``, in [0, 1] (Levin, Peres and Wilmer, Markov Chains and Mixing Times,
      2nd ed., proposition 4.2);
    - Kullback-Leibler divergence ``sum_c p_c log(p_c / q_c)`` in nats (Cover and Thomas, Elements of Information
      Theory, 2nd ed., equation 2.26), where a q_c of 0 counts as the smallest float32, as in the metrics. The terms
      ``- p_c + q_c``, whose sum is 0 for exact distributions, are added: they take out the rounding of float32 sums;
    - coverage, where the first has members: the share of rows of the second that lie within the members' probability
      intervals, ``min_m p_mc <= q_c <= max_m p_mc`` for every column (de Campos, Huete and Moral 1994,
      https://doi.org/10.1142/S0218488594000146), up to the rounding of float32;
    - columns beside the rows, such as members and logits: the largest difference, and None where only one side has the
      column, or it has another shape;
    - top-1 agreement: the share of rows whose largest number is in the same column.

    Args:
        first: A Distributions, a store, or any mapping from index to row.
        second: Another one, with the same columns.

    Returns:
        JSON-serialisable: ``rows`` ({both, only_first, only_second}), ``classes``, ``identical`` (the rows),
        ``columns`` (the difference by name), ``difference``
        ({largest, index, class, mean}), ``total_variation`` and ``kl_divergence`` ({mean, largest, index}),
        ``coverage``, ``top1_agreement`` and ``per_class``: per column its name, its mean in both, the mean and the
        largest difference, how many rows have their largest number there in both, and the share of those of the first
        that agree. What has no rows to be taken from is None.

    Raises:
        ValueError: They have other columns: another number of them, or other names in another order.

    Examples:
        >>> found = compare({0: [0.5, 0.5], 1: [0.25, 0.75]}, {1: [0.5, 0.5], 2: [1.0, 0.0]})
        >>> found["rows"], found["total_variation"]["mean"]
        ({'both': 1, 'only_first': 1, 'only_second': 1}, 0.25)
        >>> found["difference"]
        {'largest': 0.25, 'index': 1, 'class': 0, 'mean': 0.25}
    """
    first, second = Distributions.from_mapping(first), Distributions.from_mapping(second)
    indices = _common(first.indices, second.indices)
    both = len(indices)
    classes = _columns(first, second) if both else max(first.num_classes, second.num_classes)
    sums = _Sums(classes)
    step = max(1, NUMBERS_AT_ONCE // max(1, classes))
    covered = 0
    for start in range(0, both, step):
        part = indices[start : start + step]
        rows_of_second = second.gather(part)
        sums.add(part, first.gather(part), rows_of_second)
        if first.members is not None:
            members = np.asarray(first.members[np.searchsorted(first.indices, part)])
            within = (members.min(axis=1) - ROUNDING <= rows_of_second) & (
                rows_of_second <= members.max(axis=1) + ROUNDING
            )
            covered += int(within.all(axis=1).sum())
    rows = {"both": both, "only_first": len(first) - both, "only_second": len(second) - both}
    identical = sums.largest.value == 0 and rows["only_first"] == rows["only_second"] == 0
    return {
        "rows": rows,
        "classes": classes,
        "identical": identical,
        "columns": {
            name: _column_difference(first, second, name, indices) for name in {**first.columns, **second.columns}
        },
        "coverage": covered / both if first.members is not None and both else None,
        **sums.result(first.class_names),
    }


def _column_difference(first: Distributions, second: Distributions, name: str, indices: Indices) -> float | None:
    """Return the largest difference in a column of numbers; None where only one has it, or in another shape."""
    mine, theirs = first.columns.get(name), second.columns.get(name)
    if mine is None or theirs is None or mine.shape[1:] != theirs.shape[1:]:
        return None
    if any(column.dtype.kind not in "fiub" for column in (mine, theirs)):
        return None
    largest, step = 0.0, max(1, NUMBERS_AT_ONCE // max(1, math.prod(mine.shape[1:])))
    for start in range(0, len(indices), step):
        part = indices[start : start + step]
        one = np.asarray(mine[np.searchsorted(first.indices, part)], np.float64)
        other = np.asarray(theirs[np.searchsorted(second.indices, part)], np.float64)
        same = (one == other) | (np.isnan(one) & np.isnan(other))  # infinite ones have no difference
        differences = np.abs(np.subtract(one, other, out=np.zeros_like(one), where=~same))
        # JSON has no infinity.
        largest = max(largest, float(np.nan_to_num(differences, nan=np.finfo(float).max).max(initial=0)))
    return largest


def _common(first: Indices, second: Indices) -> Indices:
    if len(first) == len(second) and np.array_equal(first, second):
        return first
    return np.intersect1d(first, second, assume_unique=True)


def _columns(first: Distributions, second: Distributions) -> int:
    if first.num_classes != second.num_classes:
        message = f"expected as many classes in both, got {first.num_classes} and {second.num_classes}"
        raise ValueError(message)
    names, others = first.class_names, second.class_names
    if names is not None and others is not None and names != others:
        column = next(column for column in range(len(names)) if names[column] != others[column])
        message = (
            f"the columns mean different classes: column {column} is {names[column]!r} in the first and "
            f"{others[column]!r} in the second; bring them into one order"
        )
        raise ValueError(message)
    return first.num_classes


class _Largest:
    """The largest of some numbers, and where it stood."""

    def __init__(self) -> None:
        self.value, self.index, self.column = 0.0, -1, -1

    def take(self, value: float, index: int, column: int = -1) -> None:
        if value > self.value or self.index < 0:
            self.value, self.index, self.column = float(value), int(index), int(column)


class _Sums:
    """What is added up over blocks of rows, in float64."""

    def __init__(self, classes: int) -> None:
        self.rows = self.agreed = 0
        self.largest, self.variation, self.divergence = _Largest(), _Largest(), _Largest()
        self.variations = self.divergences = 0.0
        self.first, self.second, self.differences, self.peaks = (np.zeros(classes) for _ in range(4))
        self.tops, self.other_tops, self.agreements = (np.zeros(classes, np.int64) for _ in range(3))

    def add(self, indices: Indices, p: FloatRows, q: FloatRows) -> None:
        """Add a block: the indices, and the rows of both sides."""
        if not p.size:
            return
        self.rows += len(p)
        self.first += p.sum(axis=0, dtype=np.float64)
        self.second += q.sum(axis=0, dtype=np.float64)
        self._add_tops(p.argmax(axis=1), q.argmax(axis=1))
        differences = np.abs(p - q)  # exact where p and q are near, by Sterbenz's lemma
        self.differences += differences.sum(axis=0, dtype=np.float64)
        np.maximum(self.peaks, differences.max(axis=0), out=self.peaks)
        row, column = np.unravel_index(int(differences.argmax()), differences.shape)
        self.largest.take(differences[row, column], indices[row], int(column))
        variations = differences.sum(axis=1, dtype=np.float64) / 2
        self.variations += float(variations.sum())
        self._take(self.variation, variations, indices)
        divergences = kl_divergences(p, q) if variations.any() else np.zeros(len(p))
        self.divergences += float(divergences.sum())
        self._take(self.divergence, divergences, indices)

    @staticmethod
    def _take(largest: _Largest, values: Floats, indices: Indices) -> None:
        row = int(values.argmax())
        largest.take(values[row], indices[row])

    def _add_tops(self, first: Indices, second: Indices) -> None:
        same, classes = first == second, len(self.tops)
        self.agreed += int(np.count_nonzero(same))
        self.tops += np.bincount(first, minlength=classes)
        self.other_tops += np.bincount(second, minlength=classes)
        self.agreements += np.bincount(first[same], minlength=classes)

    def result(self, names: list[str] | None) -> dict[str, Any]:
        """Return the means."""
        rows, classes = self.rows, len(self.first)
        mean = float(self.differences.sum()) / (rows * classes) if rows else None
        where = {"index": self.largest.index, "class": self.largest.column} if rows else {"index": None, "class": None}
        return {
            "difference": {"largest": self.largest.value if rows else None, **where, "mean": mean},
            "total_variation": self._row_result(self.variations, self.variation),
            "kl_divergence": self._row_result(self.divergences, self.divergence),
            "top1_agreement": self.agreed / rows if rows else None,
            "per_class": [self._class_result(column, names) for column in range(classes)] if rows else [],
        }

    def _row_result(self, total: float, largest: _Largest) -> dict[str, Any]:
        if not self.rows:
            return {"mean": None, "largest": None, "index": None}
        return {"mean": total / self.rows, "largest": largest.value, "index": largest.index}

    def _class_result(self, column: int, names: list[str] | None) -> dict[str, Any]:
        top = int(self.tops[column])
        return {
            "class": column,
            "name": None if names is None else names[column],
            "mean_first": float(self.first[column]) / self.rows,
            "mean_second": float(self.second[column]) / self.rows,
            "mean_difference": float(self.differences[column]) / self.rows,
            "largest_difference": float(self.peaks[column]),
            "top1_first": top,
            "top1_second": int(self.other_tops[column]),
            "top1_agreement": int(self.agreements[column]) / top if top else None,
        }


def kl_divergences(p: FloatRows, q: FloatRows) -> Floats:
    """Return the Kullback-Leibler divergence of each row of q from the same row of p in nats, shape ``(N,)``.

    See ``compare`` for the formula; it is at least 0, and 0 only for equal rows.

    Args:
        p: Distributions, shape ``(N, classes)``.
        q: Other ones, of the same shape.

    Examples:
        >>> kl_divergences(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])).round(4)
        array([0.6931])
    """
    exact, other = p.astype(np.float64), q.astype(np.float64)
    ratios = np.maximum(exact, TINY)
    ratios /= np.maximum(other, TINY)
    terms = np.log(ratios, out=ratios)
    terms *= exact
    terms -= exact
    terms += other
    divergences: Floats = np.maximum(terms.sum(axis=1), 0.0)
    return divergences
