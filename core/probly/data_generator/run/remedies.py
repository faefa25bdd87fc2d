"""What scores look like that are no distributions, and what to do about them: by the reason, never in a circle."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.rows import ENTRY_TOLERANCE

Scores = npt.NDArray[Any]

NEAR = 0.02
"""What careless rounding may take a sum from 1, or an entry below 0."""

LABELS = (
    "Model must return scores, got {numbers} of dtype {dtype} per row, which looks like class labels; return "
    "probabilities or logits (predict_proba, not predict), or set output_transform"
)
SAY = '. If they are scores all the same, say which: output_mode="logits" or "probs"'
INDEPENDENT = (
    "these are independent scores, as those of a multi-label model or of a sigmoid per class, and no distribution over "
    "classes; set output_transform to say what a row is: lambda p: p / p.sum(axis=1, keepdims=True) where one class is "
    "true and the scores rank them, lambda p: np.stack([1 - p[:, 0], p[:, 0]], axis=1) for label 0 against the rest"
)
EMPTY_ROW = (
    "no class got any probability; set output_transform to say what such a row is, e.g. uniform: "
    "lambda p: np.where(p.sum(axis=1, keepdims=True) > 0, p, 1 / p.shape[1]), or leave such samples out"
)
SHARES = (
    "no score of the first batch is negative and every row sums to {total:g}, so these look like percentages, votes or "
    "counts; set output_transform=lambda p: p / p.sum(axis=1, keepdims=True)"
)
NEARLY = "set output_transform=lambda p: p.clip(0) / p.clip(0).sum(axis=1, keepdims=True) if that is rounding"


def whole_numbers(scores: Scores) -> bool:
    """Return whether scores are whole numbers from 0 on, or of a single column whole numbers, as class labels are.

    Examples:
        >>> whole_numbers(np.float32([0, 3, 9])), whole_numbers(np.float32([0, 0.5])), whole_numbers(np.array([-1, 1]))
        (True, False, True)
        >>> whole_numbers(np.array([[0.0, 2.0], [1.0, -1.0]]))
        False
    """
    if not scores.size:
        return False
    single = scores.ndim == 1 or scores.shape[1] == 1
    whole = scores.dtype.kind in "iub" or bool((np.isfinite(scores) & (scores == np.rint(scores))).all())
    return whole and (single or bool((scores >= 0).all()))


def within_bounds(rows: Scores) -> bool:
    """Return whether all entries are within [0, 1], up to rounding."""
    return bool(rows.size and (rows >= -ENTRY_TOLERANCE).all() and (rows <= 1 + ENTRY_TOLERANCE).all())


def common_sum(rows: Scores, tolerance: float) -> float | None:
    """Return the sum that several rows without negative entries share, as logits do not; None where there is none.

    Examples:
        >>> common_sum(np.array([[70.0, 30.0], [45.0, 55.0]]), 1e-4)
        100.0
        >>> common_sum(np.array([[2.0, 1.0], [0.0, 5.0]]), 1e-4) is None
        True
    """
    # Rows that are all alike share their sum whatever they are, as those of a model of zero weights and a bias do.
    if len(rows) < 2 or not np.isfinite(rows).all() or rows.min() < 0 or (rows == rows[0]).all():
        return None
    sums = rows.sum(axis=1, dtype=np.float64)
    total = float(np.median(sums))
    return total if total > 0 and (np.abs(sums - total) <= tolerance * total).all() else None


def mostly_probabilities(rows: Scores) -> bool:
    """Return whether more than half of some rows are distributions up to a careless rounding: then all are meant so."""
    if not rows.size:
        return False
    with np.errstate(invalid="ignore"):
        near = (rows.min(axis=1) >= -NEAR) & (np.abs(rows.sum(axis=1) - 1.0) <= NEAR)
    return bool(2 * np.count_nonzero(near) > len(rows))


def remedy_for(row: Scores, *, known: str | None) -> str:
    """Return what to do about a row of probabilities that is no distribution.

    Args:
        row: Its scores.
        known: ``"probs"`` where they are surely probabilities, so that a softmax is no way out.

    Examples:
        >>> remedy_for(np.array([3.0, -1.0]), known=None)
        'set output_mode="logits" if the model returns logits, or output_transform'
        >>> remedy_for(np.array([0.0, 0.0]), known="probs")[:35]
        'no class got any probability; set o'
    """
    total = row.sum(dtype=np.float64)
    if not np.isfinite(total):
        return "look for what makes it in the model or its inputs, or set output_transform"
    if abs(total - 1) <= NEAR and row.min() >= -NEAR:
        return NEARLY
    if within_bounds(row):
        return f"{INDEPENDENT if row.any() else EMPTY_ROW}{or_say(known)}"
    return (
        "set output_transform" if known else 'set output_mode="logits" if the model returns logits, or output_transform'
    )


def or_say(known: str | None) -> str:
    """Return the other way out where a softmax may be one: not of what is known to be probabilities."""
    return "" if known else '. If the model returns logits, set output_mode="logits"'
