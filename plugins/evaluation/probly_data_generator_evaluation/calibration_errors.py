"""How far confidence is from accuracy: expected, adaptive and classwise calibration errors."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly_data_generator_evaluation.blocks import Floats, each_block, rows_of
from probly_data_generator_evaluation.targets import label_columns


class CalibrationErrors(NamedTuple):
    """What ``calibration_errors`` found.

    Attributes:
        expected: Over bins of equal width, in [0, 1].
        adaptive: Over bins of equally many samples, in [0, 1].
        classwise: The mean over the classes, in [0, 1].
        per_class: float64, shape ``(classes,)``.
        samples: How many rows had a label.
    """

    expected: float
    adaptive: float
    classwise: float
    per_class: Floats
    samples: int


def calibration_errors(rows: Any, labels: npt.ArrayLike | None = None, bins: int = 15) -> CalibrationErrors:
    """Return the calibration errors of rows against labels.

    With the confidence of a row, its largest entry, and its hit, 1 where that is the label's (of several largest
    entries each has an equal share):

    - expected: ``sum_b |hits in b - sum of confidences in b| / N`` over bins of equal width, ``((b - 1) / B, b / B]``
      (Naeini et al. 2015, https://doi.org/10.1609/aaai.v29i1.9602);
    - adaptive: the same over ``B`` bins of equally many samples, in the order of their confidences; samples of equal
      confidence count with their mean hit, so that no order among them matters (Nguyen and O'Connor 2015,
      https://doi.org/10.18653/v1/D15-1182; Nixon et al. 2019, https://arxiv.org/abs/1904.01685);
    - classwise: for every class the same as expected with its entry for the confidence and its label for the hit, the
      mean over the classes (Kull et al. 2019, https://arxiv.org/abs/1910.12656).

    An entry that is the float32 of an edge is at the edge, as in the report.

    Args:
        rows: Distributions, a mapping from index to row, or floats of shape ``(samples, classes)``.
        labels: One per row; by default those of the distributions. Rows without one are left out.
        bins: How many, at least 1.

    Raises:
        AlignmentError: There is not one label per row.
        ValueError: There are no labels, or ``bins`` is out of its domain.

    Examples:
        >>> found = calibration_errors(np.array([[0.75, 0.25], [0.75, 0.25]]), [0, 1], bins=10)
        >>> found.expected, found.adaptive, found.classwise
        (0.25, 0.25, 0.25)
    """
    source = rows_of(rows)
    if not isinstance(bins, int | np.integer) or bins < 1:
        message = f"bins: expected how many, at least 1, got {bins!r}"
        raise ValueError(message)
    columns = label_columns(source, labels)
    if (columns < 0).any():
        source = source.take(np.flatnonzero(columns >= 0))
        columns = columns[columns >= 0]
    classes, edges = source.classes, np.linspace(0.0, 1.0, bins + 1).astype(np.float32)
    confidences, hits = np.empty(len(source)), np.empty(len(source))
    gaps = np.zeros((classes, bins))

    def bin_of(values: Floats) -> npt.NDArray[np.int64]:
        return np.clip(np.searchsorted(edges, values.astype(np.float32)) - 1, 0, bins - 1)

    def fill(part: slice) -> Floats:
        block, own = source.read(part), columns[part]
        labelled = np.arange(len(block)), own
        confidences[part] = block.max(axis=1)
        tops = block == confidences[part, None]
        hits[part] = tops[labelled] / tops.sum(axis=1)
        places = bin_of(block) + bins * np.arange(classes)
        found = np.bincount(places.ravel(), block.ravel(), minlength=classes * bins).astype(np.float64)
        found -= np.bincount(places[labelled], minlength=classes * bins)
        return found.reshape(-1, bins)

    for part_gaps in each_block(fill, len(source), classes):
        gaps += part_gaps
    samples = len(source)
    surplus = np.bincount(bin_of(confidences), confidences - hits, minlength=bins)
    per_class = np.abs(gaps).sum(axis=1) / samples
    adaptive = _adaptive(confidences, hits, bins)
    return CalibrationErrors(
        float(np.abs(surplus).sum() / samples), adaptive, float(per_class.mean()), per_class, samples
    )


def _adaptive(confidences: Floats, hits: Floats, bins: int) -> float:
    # In float32, or the last bits of their sums would tell apart what is equal.
    _, places, counts = np.unique(confidences.astype(np.float32), return_inverse=True, return_counts=True)
    surplus = np.repeat(np.bincount(places, confidences - hits) / counts, counts)
    parts = np.array_split(surplus, min(bins, len(surplus)))
    return float(sum(abs(part.sum()) for part in parts) / len(surplus))
