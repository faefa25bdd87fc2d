"""Calibration: how often the most probable class is the right one, by how probable it is said to be."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


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
