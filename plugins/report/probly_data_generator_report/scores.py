"""Scores of rows and of their calibration: the formulas, with their sources."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from probly.data_generator.calibration import bin_numbers
from probly.data_generator.labels import ClassIndices
from probly.data_generator.metrics import label_probabilities
from probly.data_generator.rows import FloatRows

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

SMALLEST = np.finfo(np.float32).tiny
"""What a probability of 0 counts as in a logarithm, as in ``metrics.negative_log_likelihood``."""


def entropies(rows: FloatRows) -> Numbers:
    """Return the Shannon entropy ``-sum p log p`` of each row in nats, in [0, log classes], computed in float32.

    Source: Shannon (1948), https://doi.org/10.1002/j.1538-7305.1948.tb01338.x, with the natural logarithm.

    Args:
        rows: float32, shape ``(N, classes)``.

    Examples:
        >>> entropies(np.array([[0.5, 0.5], [1.0, 0.0]], np.float32)).round(4)
        array([0.6931, 0.    ])
    """
    logarithms = np.log(np.maximum(rows, SMALLEST))
    found: Numbers = np.maximum(-np.einsum("ij,ij->i", rows, logarithms).astype(np.float64), 0.0)
    return found


def surprises(rows: FloatRows, labels: ClassIndices) -> Numbers:
    """Return ``-log p(label)`` of each row in nats: the logarithmic score, whose mean is the negative log-likelihood.

    Source: Gneiting and Raftery (2007), https://doi.org/10.1198/016214506000001437.

    Examples:
        >>> surprises(np.array([[0.5, 0.5], [1.0, 0.0]], np.float32), np.array([1, 0])).round(4) + 0.0
        array([0.6931, 0.    ])
    """
    return -np.log(np.maximum(label_probabilities(rows, labels), SMALLEST))


@dataclass
class Histogram:
    """Counts of values in bins of equal width, with the mean and the standard deviation of the values.

    Bin ``m`` holds the values in ``(edges[m], edges[m + 1]]``, the first one its left edge too. Values beyond the
    edges, which rounding may give, count in the outermost bins.

    Attributes:
        edges: Shape ``(bins + 1,)``, ascending.
        counts: Shape ``(bins,)``.
    """

    edges: Numbers
    counts: Counts
    _sum: float = 0.0
    _squares: float = 0.0

    @classmethod
    def empty(cls, upper: float, bins: int) -> "Histogram":
        """Return a histogram of [0, upper] that has counted nothing."""
        return cls(np.linspace(0.0, upper, bins + 1), np.zeros(bins, np.int64))

    def add(self, values: Numbers) -> Counts:
        """Count more values, and return the bin of each."""
        bins = bin_numbers(values, self.edges)
        self.counts += np.bincount(bins, minlength=len(self.counts))
        self._sum += float(values.sum())
        self._squares += float((values**2).sum())
        return bins

    @property
    def total(self) -> int:
        """The number of values."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """The mean of the values themselves, 0 for none."""
        return self._sum / max(self.total, 1)

    @property
    def std(self) -> float:
        """The standard deviation of the values themselves, 0 for none."""
        return float(np.sqrt(max(self._squares / max(self.total, 1) - self.mean**2, 0.0)))
