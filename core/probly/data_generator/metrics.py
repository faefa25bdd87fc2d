"""What ``generate()`` reports of distributions and labels."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.labels import ClassIndices, class_indices
from probly.data_generator.rows import FloatRows

__all__ = [
    "METRICS",
    "ClassIndices",
    "accuracy",
    "brier_score",
    "class_indices",
    "mean_entropy",
    "negative_log_likelihood",
    "report",
]

METRICS = ("accuracy", "negative_log_likelihood", "brier_score", "mean_entropy")
NUMBERS_AT_ONCE = 1 << 20
"""How much of a store is in memory at a time."""


def accuracy(rows: FloatRows, labels: ClassIndices) -> float:
    """Return the share of rows whose largest entry is the label's.

    Examples:
        >>> accuracy(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]))
        0.5
    """
    return float(np.mean(rows.argmax(axis=1) == labels))


def negative_log_likelihood(rows: FloatRows, labels: ClassIndices) -> float:
    """Return the mean of ``-log p(label)`` in nats; a probability of 0 counts as the smallest float32.

    Source: Gneiting and Raftery (2007), https://doi.org/10.1198/016214506000001437, the logarithmic score.

    Examples:
        >>> round(negative_log_likelihood(np.array([[0.5, 0.5]]), np.array([1])), 4)
        0.6931
    """
    likelihoods = rows[np.arange(len(rows)), labels].astype(np.float64)
    return float(-np.mean(np.log(np.maximum(likelihoods, np.finfo(np.float32).tiny))))


def brier_score(rows: FloatRows, labels: ClassIndices) -> float:
    """Return the mean squared distance between row and one-hot label, in [0, 2].

    Source: Brier (1950), https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Examples:
        >>> brier_score(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
        1.0
    """
    exact = rows.astype(np.float64)
    hit = exact[np.arange(len(exact)), labels]
    return float(np.mean((exact**2).sum(axis=1) - 2.0 * hit + 1.0))


def mean_entropy(rows: FloatRows) -> float:
    """Return the mean Shannon entropy ``-sum p log p`` in nats, in [0, log classes].

    Examples:
        >>> round(mean_entropy(np.array([[0.5, 0.5], [1.0, 0.0]])), 4)
        0.3466
    """
    exact = rows.astype(np.float64)
    return float(-np.mean((exact * np.log(np.where(exact > 0, exact, 1.0))).sum(axis=1)))


def report(distributions: Distributions) -> dict[str, Any]:
    """Return metrics, class counts and confidence; what needs labels is None without them, and all is for no rows."""
    num_classes, total = distributions.num_classes, len(distributions)
    labels = class_indices(distributions.labels, num_classes, distributions.class_names) if total else None
    names = distributions.class_names or []
    if len(set(names)) < num_classes:  # none, or some twice: a count per name would add classes up
        names = [str(column) for column in range(num_classes)]
    sums: dict[str, float] = {}
    predicted, confidence = np.zeros(num_classes, np.int64), np.full(total, np.nan, np.float32)
    for part, rows in row_blocks(distributions, NUMBERS_AT_ONCE):
        predicted += np.bincount(rows.argmax(axis=1), minlength=num_classes)
        confidence[part] = rows.max(axis=1)
        for name, mean in _means(rows, None if labels is None else labels[part]).items():
            sums[name] = sums.get(name, 0.0) + mean * len(rows)
    return {
        "metrics": {name: sums[name] / total if name in sums else None for name in METRICS},
        "class_distribution": {
            "predicted": _by_class(predicted, names),
            "ground_truth": None if labels is None else _by_class(np.bincount(labels, minlength=num_classes), names),
        },
        "confidence": {
            "mean": float(confidence.mean()) if total else None,
            "std": float(confidence.std()) if total else None,
        },
    }


def _means(rows: FloatRows, labels: ClassIndices | None) -> dict[str, float]:
    entropy = {"mean_entropy": mean_entropy(rows)}
    if labels is None:
        return entropy
    return {
        "accuracy": accuracy(rows, labels),
        "negative_log_likelihood": negative_log_likelihood(rows, labels),
        "brier_score": brier_score(rows, labels),
        **entropy,
    }


def _by_class(counts: npt.NDArray[Any], names: list[str]) -> dict[str, int]:
    return dict(zip(names, counts.tolist(), strict=True))
