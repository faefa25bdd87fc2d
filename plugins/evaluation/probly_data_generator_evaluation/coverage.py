"""How often credal sets have the truth in them, how wide they are for that, for whom, and what votes can tell of it."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.samples import Indices
from probly_data_generator_evaluation.blocks import Floats, each_block, paired
from probly_data_generator_evaluation.credal_sets import CredalSets, Flags
from probly_data_generator_evaluation.human_votes import HumanVotes

LEVEL = 0.05
"""The share of samples that intervals of votes may miss."""
MISLEADING = 0.05
"""From which difference between what is covered and what may be a warning is due."""


class FewVotesWarning(UserWarning):
    """The coverage of the votes' frequencies says little about that of the distributions that humans voted from."""


@dataclass(frozen=True)
class Coverage:
    """What ``coverage`` found.

    Attributes:
        indices: int64, shape ``(samples,)``: the dataset index of each.
        covered: bool, shape ``(samples,)``: whether the truth is in the set.
        compatible: bool, shape ``(samples,)``: whether votes leave it possible; ``covered`` where the truth is known.
        widths: float64, shape ``(samples,)``: the mean over the classes of upper less lower probability.
    """

    indices: Indices
    covered: Flags
    compatible: Flags
    widths: Floats

    @property
    def rate(self) -> float:
        """The share of samples whose truth is in their set."""
        return float(self.covered.mean())

    @property
    def highest_rate(self) -> float:
        """The share of samples whose votes leave it possible; ``rate`` where the truth is known."""
        return float(self.compatible.mean())

    @property
    def efficiency(self) -> float:
        """One less the mean width: 1 for sets of one distribution, 0 for sets of all of them."""
        return float(1.0 - self.widths.mean())

    @property
    def covered_efficiency(self) -> float | None:
        """The efficiency of the sets that cover; None if none does."""
        return float(1.0 - self.widths[self.covered].mean()) if self.covered.any() else None

    def summary(self) -> dict[str, float | int | None]:
        """Return the numbers, with the limits between which the rate lies in 95 % of samples of this size.

        Examples:
            >>> from probly_data_generator_evaluation import ProbabilityIntervals
            >>> sets = ProbabilityIntervals(np.array([[[0.25, 0.75], [0.5, 0.5]]] * 2))
            >>> found = coverage(sets, np.array([[0.3, 0.7], [0.6, 0.4]])).summary()
            >>> found["rate"], found["efficiency"], round(found["lower"], 4), round(found["upper"], 4)
            (0.5, 0.75, 0.0126, 0.9874)
        """
        lower, upper = binomial_limits(int(self.covered.sum()), len(self.covered))
        return {
            "samples": len(self.covered),
            "rate": self.rate,
            "lower": float(lower),
            "upper": float(upper),
            "highest_rate": self.highest_rate,
            "efficiency": self.efficiency,
            "covered_efficiency": self.covered_efficiency,
        }


def coverage(sets: CredalSets, truth: Any, tolerance: float | None = None) -> Coverage:
    """Return which true distributions are in their credal set, and how wide the sets are.

    Coverage is the share of samples whose true distribution is in its set; the efficiency is one less the mean of
    upper less lower probability over classes and samples. Sets are good if they cover often and are narrow; either
    alone is easy (Löhr et al. 2025, https://arxiv.org/abs/2505.22332).

    Frequencies of few votes are not the distribution that humans voted from: a set with that in it may well not have
    them. So with HumanVotes, ``compatible`` says where the votes leave it possible: where for every class the interval
    of Clopper and Pearson (1934, https://doi.org/10.1093/biomet/26.4.404), at the level ``1 - 0.05 / classes``, meets
    the set's bounds. At most 5 % of the samples that are covered are expected not to be compatible, so the coverage of
    what humans voted from is at most ``highest_rate`` / 0.95; that of the frequencies, ``rate``, is mostly far
    below it. A warning says so.

    Args:
        sets: Credal sets.
        truth: One distribution per sample: Distributions, HumanVotes, or floats of shape ``(samples, classes)``.
        tolerance: How far outside a set a distribution may be and still count; see ``CredalSets.covers``.

    Raises:
        AlignmentError: A sample has no truth.
        TypeError: The sets are none.
        ValueError: There are no samples, or another number of classes.

    Examples:
        >>> from probly_data_generator_evaluation import Balls
        >>> sets = Balls(np.array([[0.5, 0.5], [0.9, 0.1]]), radius=0.1)
        >>> found = coverage(sets, np.array([[0.45, 0.55], [0.5, 0.5]]))
        >>> found.covered, found.rate
        (array([ True, False]), 0.5)
    """
    if not hasattr(sets, "covers"):
        message = (
            f"sets: expected credal sets, got {type(sets).__name__}; make them of it, as in "
            "coverage(ConvexHulls(distributions), truth)"
        )
        raise TypeError(message)
    if not len(sets):
        message = "sets: expected at least one sample, got none"
        raise ValueError(message)
    covered, widths = sets.covers(truth, tolerance), sets.widths()
    compatible = covered if not isinstance(truth, HumanVotes) else covered | _compatible(sets, truth)
    found = Coverage(sets.indices, covered, compatible, widths)
    if found.highest_rate - found.rate > MISLEADING:
        votes = int(np.median(truth.votes))
        message = (
            f"{found.rate:.1%} of the sets have the votes' frequencies in them, but {found.highest_rate:.1%} may have "
            f"the distributions that humans voted from: {votes} votes per sample cannot tell. Report both, or use "
            "samples with more votes"
        )
        warnings.warn(message, FewVotesWarning, stacklevel=2)
    return found


def _compatible(sets: CredalSets, votes: HumanVotes) -> Flags:
    """Return where the intervals of all classes meet the bounds of the set."""
    human = paired(sets.source, votes.as_rows(), "truth")
    chosen = np.arange(len(human)) if human.chosen is None else human.chosen
    tables = {
        number: np.stack(binomial_limits(np.arange(number + 1), number, LEVEL / sets.classes))
        for number in np.unique(votes.votes[chosen]).tolist()
    }
    found = np.zeros(len(sets), bool)

    def fill(part: slice) -> None:
        lower, upper = sets.bounds(part)
        counts = np.asarray(votes.counts[chosen[part]]).astype(np.int64)
        numbers = votes.votes[chosen[part]]
        limits = np.empty((2, *counts.shape))
        for number in np.unique(numbers).tolist():
            rows = numbers == number
            limits[:, rows] = tables[number][:, counts[rows]]
        found[part] = ((limits[0] <= upper) & (limits[1] >= lower)).all(axis=1)

    for _ in each_block(fill, len(sets), sets.source.members * sets.classes):
        pass
    return found


def binomial_limits(hits: npt.ArrayLike, trials: int, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Return the limits of a rate by Clopper and Pearson (1934), https://doi.org/10.1093/biomet/26.4.404.

    Args:
        hits: How often, up to ``trials``.
        trials: Of how many times, at least 1.
        level: The share of cases in which the rate may lie outside.

    Examples:
        >>> lower, upper = binomial_limits(0, 10)
        >>> float(lower), round(float(upper), 4)
        (0.0, 0.3085)
    """
    counted = np.asarray(hits, np.float64)
    missed = trials - counted
    lower = np.where(counted == 0, 0.0, betaincinv(np.maximum(counted, 1), missed + 1, level / 2))
    upper = np.where(missed == 0, 1.0, betaincinv(counted + 1, np.maximum(missed, 1), 1 - level / 2))
    return lower, upper


@dataclass(frozen=True)
class GroupCoverage:
    """The coverage of a group of samples.

    Attributes:
        group: What they have in common.
        samples: How many there are.
        rate: The share that is covered.
        lower: Limits of the rate, which are right for 95 % of groups.
        upper: Likewise.
        satisfied: Whether the rate is at least the target.
        refuted: Whether the target is above the upper limit, so that chance alone does not explain the miss.
    """

    group: Any
    samples: int
    rate: float
    lower: float
    upper: float
    satisfied: bool
    refuted: bool


@dataclass(frozen=True)
class ConditionalCoverage:
    """The coverage of each group; see ``conditional_coverage``.

    Attributes:
        target: The coverage that each should have.
        groups: Theirs, in the order of the groups.
    """

    target: float
    groups: list[GroupCoverage]

    @property
    def satisfaction(self) -> float:
        """The share of groups whose coverage is at least the target."""
        return sum(group.satisfied for group in self.groups) / len(self.groups)

    @property
    def worst(self) -> GroupCoverage:
        """The group with the lowest coverage."""
        return min(self.groups, key=lambda group: group.rate)


def conditional_coverage(covered: npt.ArrayLike, groups: npt.ArrayLike, target: float = 0.95) -> ConditionalCoverage:
    """Return whether sets cover in every group of samples, and not only on average.

    An average of 95 % may be 100 % for most samples and 50 % for those of one class, or for the ambiguous ones: the
    coverage given the group (Vovk 2012, https://arxiv.org/abs/1209.2673). ``satisfaction`` is the share of the groups
    that reach the target.

    Args:
        covered: bool, shape ``(samples,)``, such as ``coverage(...).covered``.
        groups: What each sample belongs to: labels, numbers of votes, or ``numpy.digitize`` of an entropy.
        target: The coverage that each group should have, from 0 to 1.

    Raises:
        AlignmentError: There is not one group per sample.
        ValueError: The target is out of its domain, or there are no samples.

    Examples:
        >>> found = conditional_coverage([True, True, True, False], ["cat", "cat", "dog", "dog"], target=0.9)
        >>> found.satisfaction, found.worst.group, found.worst.rate, found.worst.refuted
        (0.5, 'dog', 0.5, False)
    """
    flags, given = np.asarray(covered, bool), np.asarray(groups)
    if given.shape != flags.shape or flags.ndim != 1:
        message = f"groups: expected one per sample, {flags.shape}, got the shape {given.shape}"
        raise AlignmentError(message)
    if not 0 <= target <= 1 or not len(flags):
        message = f"target: expected a share from 0 to 1, of at least one sample, got {target!r} of {len(flags)}"
        raise ValueError(message)
    distinct, places = np.unique(given, return_inverse=True)
    samples, hits = np.bincount(places), np.bincount(places, flags).astype(np.int64)
    found = []
    for group, number, count in zip(distinct.tolist(), samples.tolist(), hits.tolist(), strict=True):
        lower, upper = (float(limit) for limit in binomial_limits(count, number))
        rate = count / number
        found.append(GroupCoverage(group, number, rate, lower, upper, rate >= target, upper < target))
    return ConditionalCoverage(target, found)
