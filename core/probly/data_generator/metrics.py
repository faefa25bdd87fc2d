"""What ``generate()`` reports of distributions and labels."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.calibration import Reliability
from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.label_values import UNLABELLED
from probly.data_generator.labels import ClassIndices, LabelColumns, class_columns
from probly.data_generator.rows import FloatRows

BINS = 15
"""Those of the expected calibration error, as in the report."""
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

    A label below 0 is of a class that has no column, which the rows give probability 0.

    Source: Gneiting and Raftery (2007), https://doi.org/10.1198/016214506000001437, the logarithmic score.

    Examples:
        >>> round(negative_log_likelihood(np.array([[0.5, 0.5]]), np.array([1])), 4)
        0.6931
    """
    likelihoods = label_probabilities(rows, labels)
    return float(-np.mean(np.log(np.maximum(likelihoods, np.finfo(np.float32).tiny))))


def brier_score(rows: FloatRows, labels: ClassIndices) -> float:
    """Return the mean squared distance between row and one-hot label, in [0, 2].

    A label below 0 is of a class that has no column, which the rows give probability 0.

    Source: Brier (1950), https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    Examples:
        >>> brier_score(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
        1.0
    """
    return float(np.mean(brier_scores(rows, labels)))


def brier_scores(rows: FloatRows, labels: ClassIndices) -> npt.NDArray[np.float64]:
    """Return the squared distance of each row to its one-hot label; see ``brier_score``.

    The differences are squared, not taken apart: ``sum p^2 - 2 p + 1`` loses the digits of a confident row.

    Examples:
        >>> brier_scores(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1, 0]))
        array([2. , 0.5])
    """
    differences = rows.astype(np.float64)
    known = labels >= 0
    differences[np.flatnonzero(known), labels[known]] -= 1.0
    scores: npt.NDArray[np.float64] = np.einsum("ij,ij->i", differences, differences) + ~known
    return scores


def label_probabilities(rows: FloatRows, labels: ClassIndices) -> npt.NDArray[np.float64]:
    """Return the probability of each row's label in float64; 0 for a class that has no column.

    Examples:
        >>> label_probabilities(np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([1, -2]))
        array([0.75, 0.  ])
    """
    found = rows[np.arange(len(rows)), np.maximum(labels, 0)].astype(np.float64)
    return np.where(labels >= 0, found, 0.0)


def mean_entropy(rows: FloatRows) -> float:
    """Return the mean Shannon entropy ``-sum p log p`` in nats, in [0, log classes].

    Examples:
        >>> round(mean_entropy(np.array([[0.5, 0.5], [1.0, 0.0]])), 4)
        0.3466
    """
    exact = rows.astype(np.float64)
    return float(-np.mean((exact * np.log(np.where(exact > 0, exact, 1.0))).sum(axis=1)))


METRICS = {"accuracy": accuracy, "negative_log_likelihood": negative_log_likelihood, "brier_score": brier_score}
"""Those that need labels."""


def report(distributions: Distributions) -> dict[str, Any]:
    """Return metrics, class counts and confidence; what needs labels is None without them, and all is for no rows.

    What needs labels is taken over the rows that have one: ``labels`` counts them, and notes why others have none.
    """
    num_classes, total = distributions.num_classes, len(distributions)
    found = LabelColumns(None)
    if total:
        found = class_columns(distributions.labels, num_classes, distributions.class_names, distributions.classes)
    sums, labelled, entropy = dict.fromkeys(METRICS, 0.0), found.labelled, 0.0
    reliability = Reliability.empty(BINS)
    predicted, confidence = np.zeros(num_classes, np.int64), np.full(total, np.nan, np.float32)
    for part, rows in row_blocks(distributions, NUMBERS_AT_ONCE):
        predicted += np.bincount(rows.argmax(axis=1), minlength=num_classes)
        confidence[part] = rows.max(axis=1)
        entropy += mean_entropy(rows) * len(rows)
        if found.columns is not None:
            labels = found.columns[part]
            given = labels != UNLABELLED
            for name, metric in METRICS.items() if given.any() else ():
                sums[name] += metric(rows[given], labels[given]) * int(given.sum())
            reliability.add(confidence[part][given].astype(np.float64), (rows.argmax(axis=1) == labels)[given])

    names = distributions.class_names or []
    if len(set(names)) < num_classes:  # none, or some twice: a count per name would add classes up
        names = [str(column) for column in range(num_classes)]
    truth = None
    if found.columns is not None:
        truth = np.bincount(found.columns[found.columns >= 0], minlength=num_classes)
    means = {name: total_of / labelled if labelled else None for name, total_of in sums.items()}
    means["expected_calibration_error"] = reliability.expected_calibration_error if labelled else None
    return {
        "metrics": {**means, "mean_entropy": entropy / total if total else None},
        "labels": {"labelled": labelled, "note": found.note},
        "class_distribution": {
            "predicted": dict(zip(names, predicted.tolist(), strict=True)),
            "ground_truth": None if truth is None else dict(zip(names, truth.tolist(), strict=True)),
        },
        "confidence": {
            "mean": float(confidence.mean()) if total else None,
            "std": float(confidence.std()) if total else None,
        },
    }
