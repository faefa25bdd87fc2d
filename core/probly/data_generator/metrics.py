"""What ``generate()`` reports of distributions and labels."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.outputs import FloatRows

ClassIndices = npt.NDArray[np.int64]


def class_indices(labels: npt.NDArray[Any] | None, num_classes: int) -> ClassIndices | None:
    """Return labels as class indices, shape ``(N,)``; one-hot labels ``(N, classes)`` become the index of their 1.

    Returns:
        None if there are no labels, or they are not classes (text, regression targets, boxes).

    Raises:
        ValueError: A label is no index of one of the classes.

    Examples:
        >>> class_indices(np.array([[0, 1], [1, 0]]), num_classes=2)
        array([1, 0])
    """
    if labels is None or labels.dtype.kind not in "iubf":
        return None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.shape[1] == num_classes:
        labels = labels.argmax(axis=1)
    if labels.ndim != 1 or not np.array_equal(labels, np.floor(labels)):
        return None
    if len(labels) and (labels.min() < 0 or labels.max() >= num_classes):
        wrong = labels[(labels < 0) | (labels >= num_classes)][0]
        message = f"labels: expected class indices from 0 to {num_classes - 1}, got {wrong}"
        raise ValueError(message)
    indices: ClassIndices = labels.astype(np.int64)
    return indices


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
    rows, num_classes = distributions.probabilities, distributions.num_classes
    labels = class_indices(distributions.labels, num_classes)
    if not len(rows):
        labels = None
    names = distributions.class_names or [str(column) for column in range(num_classes)]
    confidence = rows.max(axis=1) if len(rows) else np.full(0, np.nan)
    return {
        "metrics": {
            "accuracy": None if labels is None else accuracy(rows, labels),
            "negative_log_likelihood": None if labels is None else negative_log_likelihood(rows, labels),
            "brier_score": None if labels is None else brier_score(rows, labels),
            "mean_entropy": mean_entropy(rows) if len(rows) else None,
        },
        "class_distribution": {
            "predicted": _counts(rows.argmax(axis=1) if len(rows) else np.zeros(0, np.int64), names),
            "ground_truth": None if labels is None else _counts(labels, names),
        },
        "confidence": {
            "mean": float(confidence.mean()) if len(rows) else None,
            "std": float(confidence.std()) if len(rows) else None,
        },
    }


def _counts(classes: npt.NDArray[Any], names: list[str]) -> dict[str, int]:
    return dict(zip(names, np.bincount(classes, minlength=len(names)).tolist(), strict=True))
