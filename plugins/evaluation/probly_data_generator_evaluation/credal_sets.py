"""Credal sets: for each sample a set of distributions, from members or from a centre and a radius."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from probly_data_generator_evaluation.blocks import ROUNDING, Floats, Rows, each_block, members_of, paired, rows_of
from probly_data_generator_evaluation.distances import DISTANCES, envelope

Flags = npt.NDArray[np.bool_]

ARITHMETIC = 1e-14
"""What float64 loses of a mixture of a hundred members."""


class CredalSets(ABC):
    """One set of distributions per sample.

    Attributes:
        indices: int64, shape ``(samples,)``: the dataset index of each.
        classes: The number of classes.
    """

    def __init__(self, source: Rows) -> None:
        self.source = source
        self.indices = source.indices
        self.classes = source.classes

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.source)

    @abstractmethod
    def bounds(self, part: slice) -> tuple[Floats, Floats]:
        """Return the smallest and the largest probability of each class within the sets of a block of samples."""

    @abstractmethod
    def _covers(self, part: slice, truth: Floats, tolerance: float) -> Flags:
        """Return which of the true distributions of a block are in their set."""

    def _truth(self, truth: Rows, part: slice) -> Floats:
        return truth.read(part)

    def _tolerance(self, truth: Rows) -> float:
        """Return what the rounding of the coarser side may move a distribution."""
        return max(self.source.rounding, truth.rounding)

    def covers(self, truth: Any, tolerance: float | None = None) -> Flags:
        """Return for each sample whether its true distribution is in its set.

        Args:
            truth: One distribution per sample: Distributions, HumanVotes (their frequencies), or floats of shape
                ``(samples, classes)``. Those with indices are matched by index, arrays by place.
            tolerance: How far outside a distribution may be and still count, in the distance of the set. By default
                what rounding may have moved it: 0 for intervals, whose comparisons are exact (1e-14 for
                a float64 truth); else 1e-6 where one
                side is float32, 1e-3 for float16, 1e-9 for float64.

        Returns:
            bool, shape ``(samples,)``.

        Raises:
            AlignmentError: A sample has no true distribution.
            InvalidOutputError: A row is no distribution.
            ValueError: There is another number of classes.

        Examples:
            >>> members = np.array([[[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]])
            >>> ConvexHulls(members).covers(np.array([[0.25, 0.5, 0.25]]))
            array([ True])
            >>> ConvexHulls(members).covers(np.array([[0.3, 0.4, 0.3]]))
            array([False])
        """
        other = paired(self.source, rows_of(truth, "truth"), "truth")
        allowed = self._tolerance(other) if tolerance is None else tolerance
        found = np.zeros(len(self), bool)

        def fill(part: slice) -> None:
            found[part] = self._covers(part, self._truth(other, part), allowed)

        for _ in each_block(fill, len(self), (self.source.members + 1) * self.classes):
            pass
        return found

    def widths(self) -> Floats:
        """Return how wide each set is: the mean over the classes of largest less smallest probability.

        Returns:
            float64, shape ``(samples,)``, in [0, 1]; 0 for a set of one distribution, 1 for that of all of them.

        Examples:
            >>> ProbabilityIntervals(np.array([[[0.25, 0.75], [0.5, 0.5]]])).widths()
            array([0.25])
        """
        found = np.zeros(len(self))

        def fill(part: slice) -> None:
            lower, upper = self.bounds(part)
            found[part] = (upper - lower).mean(axis=1)

        for _ in each_block(fill, len(self), self.source.members * self.classes):
            pass
        return found


class _OfMembers(CredalSets):
    """What is made of members."""

    def __init__(self, members: Any) -> None:
        super().__init__(members_of(members))

    def bounds(self, part: slice) -> tuple[Floats, Floats]:
        """Return the smallest and the largest probability of each class among the members, without rounding."""
        rows = self.source.exactly(part)
        return rows.min(axis=1), rows.max(axis=1)


class ProbabilityIntervals(_OfMembers):
    """Per class, all probabilities from the smallest to the largest of the members'.

    ``lower_c = min_m p_mc <= q_c <= max_m p_mc = upper_c`` for every class ``c``, compared as the numbers are stored,
    without rounding (de Campos, Huete and Moral 1994, https://doi.org/10.1142/S0218488594000146). Float32 numbers are
    exact in float64, so members are always covered, and so are their mixtures, computed in float64 and stored in
    float32: rounding keeps order. Mixtures that stay float64 have 1e-14 for what their sums have lost.

    Args:
        members: Floats of shape ``(samples, members, classes)``, or an object with such an array as ``members``.

    Examples:
        >>> intervals = ProbabilityIntervals(np.array([[[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]]))
        >>> intervals.covers(np.array([[0.5, 0.0, 0.5]])), intervals.covers(np.array([[0.4, 0.5, 0.1]]))
        (array([False]), array([ True]))
    """

    def _truth(self, truth: Rows, part: slice) -> Floats:
        return truth.exactly(part)

    def _tolerance(self, truth: Rows) -> float:
        return ARITHMETIC if truth.rounding == ROUNDING[8] else 0.0

    def _covers(self, part: slice, truth: Floats, tolerance: float) -> Flags:
        lower, upper = self.bounds(part)
        found: Flags = np.logical_and.reduce((lower - tolerance <= truth) & (truth <= upper + tolerance), axis=1)
        return found


class ConvexHulls(_OfMembers):
    """All mixtures of the members, ``sum_m w_m p_m`` with weights ``w`` that are at least 0 and sum to 1.

    A distribution is covered if its Euclidean distance to the nearest mixture is at most the tolerance. The nearest
    one is found by non-negative least squares (Lawson and Hanson 1974, Solving Least Squares Problems, chapter 23):
    the weights that minimise ``|sum_m u_m (p_m - q)|^2 + (sum_m u_m - 1)^2`` are, divided by their sum, those of the
    mixture next to ``q``, without a penalty that would have to be chosen. Where a class is beyond all members, no
    system is solved.

    Args:
        members: Floats of shape ``(samples, members, classes)``, or an object with such an array as ``members``.

    Examples:
        >>> hulls = ConvexHulls(np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]))
        >>> hulls.covers(np.array([[0.25, 0.75, 0.0]])), hulls.covers(np.array([[0.25, 0.7, 0.05]]))
        (array([ True]), array([False]))
    """

    def _covers(self, part: slice, truth: Floats, tolerance: float) -> Flags:
        rows = self.source.read(part)
        lower, upper = rows.min(axis=1) - tolerance, rows.max(axis=1) + tolerance
        inside: Flags = np.logical_and.reduce((lower <= truth) & (truth <= upper), axis=1)
        for place in np.flatnonzero(inside):
            inside[place] = hull_distance(rows[place], truth[place]) <= tolerance
        return inside


def hull_distance(members: Floats, row: Floats) -> float:
    """Return the Euclidean distance of a distribution to the nearest mixture of some others; see ``ConvexHulls``.

    Args:
        members: float64, shape ``(members, classes)``.
        row: float64, shape ``(classes,)``.

    Examples:
        >>> round(hull_distance(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), np.array([0.0, 0.0, 1.0])), 6)
        1.224745
    """
    differences = members - row
    system = np.concatenate([differences.T, np.ones((1, len(members)))])
    target = np.zeros(len(system))
    target[-1] = 1.0
    weights, _ = nnls(system, target, maxiter=100 * len(members))
    return float(np.linalg.norm((weights / weights.sum()) @ differences))


class Balls(CredalSets):
    """All distributions within a distance of a centre.

    With the centre ``p`` and a distribution ``q``, the distances are

    - ``"total_variation"``: ``sum_c |p_c - q_c| / 2`` (Levin and Peres 2017, https://doi.org/10.1090/mbk/107,
      proposition 4.2);
    - ``"hellinger"``: ``sqrt(1 - sum_c sqrt(p_c q_c))`` (Hellinger 1909, https://doi.org/10.1515/crll.1909.136.210);
    - ``"euclidean"``: ``sqrt(sum_c (p_c - q_c)^2)``.

    Args:
        centre: Distributions, or floats of shape ``(samples, classes)``.
        radius: One number, or one per sample; at least 0.
        distance: Its name.

    Raises:
        ValueError: The radius or the distance is out of its domain.

    Examples:
        >>> balls = Balls(np.array([[0.5, 0.5]]), radius=0.1)
        >>> balls.covers(np.array([[0.45, 0.55]])), balls.covers(np.array([[0.3, 0.7]])), balls.widths().round(9)
        (array([ True]), array([False]), array([0.2]))
    """

    def __init__(self, centre: Any, radius: npt.ArrayLike, distance: str = "total_variation") -> None:
        super().__init__(rows_of(centre, "centre"))
        self._set_radius(radius, distance)

    def _set_radius(self, radius: npt.ArrayLike, distance: str) -> None:
        radii = np.asarray(radius, np.float64)
        if distance not in DISTANCES:
            message = f"distance: expected one of {', '.join(map(repr, DISTANCES))}, got {distance!r}"
            raise ValueError(message)
        if radii.shape not in ((), (len(self),)):
            message = f"radius: expected one number, or one per sample ({len(self)}), got the shape {radii.shape}"
            raise ValueError(message)
        radii = np.broadcast_to(radii, (len(self),))
        wrong = ~(np.isfinite(radii) & (radii >= 0))
        if wrong.any():
            message = f"radius: expected at least 0, got {radii[wrong][0]} for index {self.indices[wrong][0]}"
            raise ValueError(message)
        self.radii: Floats = radii
        self.distance = distance

    @classmethod
    def from_members(cls, members: Any, distance: str = "total_variation") -> "Balls":
        """Return the smallest balls around the members' means that have all members in them.

        Args:
            members: Floats of shape ``(samples, members, classes)``, or an object with such an array as ``members``.
            distance: Its name.

        Examples:
            >>> Balls.from_members(np.array([[[0.25, 0.75], [0.75, 0.25]]])).radii
            array([0.25])
        """
        made = cls.__new__(cls)
        CredalSets.__init__(made, members_of(members))
        made._set_radius(0.0, distance)  # noqa: SLF001  # its own class
        radii = np.zeros(len(made))

        def fill(part: slice) -> None:
            rows = made.source.read(part)
            radii[part] = DISTANCES[distance](rows, rows.mean(axis=1, keepdims=True)).max(axis=1)

        for _ in each_block(fill, len(made), 2 * made.source.members * made.classes):
            pass
        made.radii = radii
        return made

    def _centres(self, part: slice) -> Floats:
        rows = self.source.read(part)
        centres: Floats = rows if rows.ndim == 2 else rows.mean(axis=1)
        return centres

    def bounds(self, part: slice) -> tuple[Floats, Floats]:
        """Return the smallest and the largest probability of each class within the balls; see ``envelope``."""
        return envelope(self._centres(part), self.radii[part, None], self.distance)

    def _covers(self, part: slice, truth: Floats, tolerance: float) -> Flags:
        found: Flags = DISTANCES[self.distance](self._centres(part), truth) <= self.radii[part] + tolerance
        return found
