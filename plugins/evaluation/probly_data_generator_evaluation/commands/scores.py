"""The scores that are printed of rows: by themselves, against labels, and against true distributions."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.label_values import UNLABELLED
from probly.data_generator.metrics import accuracy, brier_scores, label_probabilities
from probly_data_generator_evaluation.blocks import SMALLEST, Floats, Rows, each_block, entropies, paired
from probly_data_generator_evaluation.calibration_errors import calibration_errors
from probly_data_generator_evaluation.distances import (
    jensen_shannon,
    kullback_leibler,
    squared_distance,
    total_variation,
)
from probly_data_generator_evaluation.targets import label_columns

Scores = dict[str, Any]
DISTANCES = {
    "total_variation": total_variation,
    "kullback_leibler": kullback_leibler,
    "jensen_shannon": jensen_shannon,
    "squared_distance": squared_distance,
}


def row_scores(rows: Rows) -> Scores:
    """Return the mean entropy in nats, and the mean of the largest entries.

    Examples:
        >>> from probly_data_generator_evaluation.blocks import rows_of
        >>> row_scores(rows_of(np.array([[0.25, 0.75], [1.0, 0.0]])))["mean_confidence"]
        0.875
    """

    def sums_of(part: slice) -> Floats:
        block = rows.read(part)
        return np.array([entropies(block).sum(), block.max(axis=1).sum()])

    entropy, confidence = _means(rows, sums_of)
    return {"mean_entropy": entropy, "mean_confidence": confidence}


def label_scores(rows: Rows, labels: npt.ArrayLike) -> Scores:
    """Return accuracy, negative log-likelihood, Brier score and calibration errors over the rows with a label.

    Labels of classes that the model has not learned count as wrong, with the probability 0; the calibration
    errors are over the others, and None where there are none.

    Raises:
        ValueError: No label is one of the classes.

    Examples:
        >>> from probly_data_generator_evaluation.blocks import rows_of
        >>> found = label_scores(rows_of(np.array([[0.75, 0.25], [0.75, 0.25]])), [0, 1])
        >>> found["accuracy"], found["brier_score"], found["calibration_error"]
        (0.5, 0.625, 0.25)
    """
    columns = label_columns(rows, labels)
    places = np.flatnonzero(columns != UNLABELLED)
    known, own = rows.take(places), columns[places]

    def sums_of(part: slice) -> Floats:
        block: Any = known.read(part)
        likely = np.log(np.maximum(label_probabilities(block, own[part]), SMALLEST))
        hits = accuracy(block, own[part]) * len(block)
        return np.array([hits, -likely.sum(), brier_scores(block, own[part]).sum()])

    hits, likelihood, brier = _means(known, sums_of)
    learned = (columns >= 0).any()
    errors = calibration_errors(rows, labels) if learned else None
    return {
        "samples": len(places),
        "accuracy": hits,
        "negative_log_likelihood": likelihood,
        "brier_score": brier,
        "calibration_error": errors and errors.expected,
        "adaptive_calibration_error": errors and errors.adaptive,
        "classwise_calibration_error": errors and errors.classwise,
    }


def distances_to(rows: Rows, truth: Rows) -> Scores:
    """Return the mean distances of rows to true distributions, the divergence in nats.

    Examples:
        >>> from probly_data_generator_evaluation.blocks import rows_of
        >>> rows = rows_of(np.array([[0.5, 0.5]]))
        >>> distances_to(rows, rows_of(np.array([[1.0, 0.0]])))["total_variation"]
        0.5
    """
    matched = paired(rows, truth, "--truth")

    def sums_of(part: slice) -> Floats:
        p, q = matched.read(part), rows.read(part)
        return np.array([distance(p, q).sum() for distance in DISTANCES.values()])

    return {"samples": len(rows), **dict(zip(DISTANCES, _means(rows, sums_of), strict=True))}


def _means(rows: Rows, sums_of: Any) -> list[float]:
    found: list[float] = (sum(each_block(sums_of, len(rows), rows.classes)) / len(rows)).tolist()
    return found
