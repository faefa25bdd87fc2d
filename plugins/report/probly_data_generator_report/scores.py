"""Scores of rows and of their calibration: the formulas, with their sources."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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


def bin_numbers(values: Numbers, edges: Numbers) -> Counts:
    """Return the bin of each value: bin ``m`` is ``(edges[m], edges[m + 1]]``.

    Rows are float32, so a value is at an edge when it is the float32 of the edge: 6 of 10 votes, which float32 makes
    0.60000002, are not above 0.6.

    Examples:
        >>> bin_numbers(np.array([0.0, 0.5, 0.6, 1.0]), np.array([0.0, 0.5, 1.0]))
        array([0, 0, 1, 1])
        >>> bin_numbers(np.float32([0.6, 0.7]).astype(float), np.linspace(0, 1, 11))
        array([5, 6])
    """
    places = np.searchsorted(edges.astype(np.float32), values.astype(np.float32), side="left")
    found: Counts = np.clip(places - 1, 0, len(edges) - 2).astype(np.int64)
    return found


@dataclass
class Reliability:
    """How often the largest entry of a row is the label's, by bins of that entry, the confidence.

    Source: bins of equal width, top-1 confidence, as in Guo et al. (2017), https://arxiv.org/abs/1706.04599; bin ``m``
    of ``M`` is ``((m - 1) / M, m / M]``.

    Attributes:
        edges: Shape ``(bins + 1,)``, from 0 to 1.
        counts: Rows per bin.
        hits: Rows per bin whose largest entry is the label's.
        confidences: The sum of the confidences per bin.
    """

    edges: Numbers
    counts: Counts
    hits: Counts
    confidences: Numbers

    @classmethod
    def empty(cls, bins: int) -> "Reliability":
        """Return the bins before any row."""
        return cls(np.linspace(0.0, 1.0, bins + 1), np.zeros(bins, np.int64), np.zeros(bins, np.int64), np.zeros(bins))

    def add(self, confidences: Numbers, hits: npt.NDArray[np.bool_]) -> None:
        """Count more rows."""
        bins, width = bin_numbers(confidences, self.edges), len(self.counts)
        self.counts += np.bincount(bins, minlength=width)
        self.hits += np.bincount(bins[hits], minlength=width)
        self.confidences += np.bincount(bins, confidences, minlength=width)

    @property
    def accuracy(self) -> Numbers:
        """The share of hits per bin; 0 for an empty one."""
        return self.hits / np.maximum(self.counts, 1)

    @property
    def confidence(self) -> Numbers:
        """The mean confidence per bin; 0 for an empty one."""
        return self.confidences / np.maximum(self.counts, 1)

    @property
    def expected_calibration_error(self) -> float:
        """The mean of ``|accuracy - confidence|`` over the bins, weighted by their counts, in [0, 1].

        Source: Naeini et al. (2015), https://doi.org/10.1609/aaai.v29i1.9602.

        Examples:
            >>> bins = Reliability.empty(10)
            >>> bins.add(np.array([0.75, 0.75]), np.array([True, False]))
            >>> bins.expected_calibration_error
            0.25
        """
        gaps = np.abs(self.hits - self.confidences)
        return float(gaps.sum() / max(int(self.counts.sum()), 1))
