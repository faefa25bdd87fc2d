"""Coverage: the numbers of sets of which everything is known, groups, and votes that cannot tell."""

import warnings

import numpy as np
import pytest
from scipy.stats import binomtest

from probly.data_generator.errors import AlignmentError
from probly_data_generator_evaluation import (
    Balls,
    ConvexHulls,
    FewVotesWarning,
    HumanVotes,
    ProbabilityIntervals,
    conditional_coverage,
    coverage,
    sample_labels,
)
from probly_data_generator_evaluation.coverage import binomial_limits
from tests.evaluation.numbers import some_members, some_rows


def test_the_numbers_of_a_coverage():
    members = np.array([[[0.25, 0.75], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]], [[0.0, 1.0], [1.0, 0.0]]])
    found = coverage(ProbabilityIntervals(members), np.array([[0.3, 0.7], [0.6, 0.4], [0.9, 0.1]]))
    assert found.covered.tolist() == [True, False, True]
    assert found.rate == found.highest_rate == pytest.approx(2 / 3)
    assert found.efficiency == pytest.approx(1 - (0.25 + 0 + 1) / 3)
    assert found.covered_efficiency == pytest.approx(1 - 1.25 / 2)
    assert coverage(ProbabilityIntervals(members[:1]), np.array([[0.9, 0.1]])).covered_efficiency is None


@pytest.mark.parametrize(("hits", "trials"), [(0, 7), (3, 7), (7, 7), (1, 1), (0, 1), (500, 1000)])
def test_limits_of_a_rate_are_those_of_scipy(hits, trials):
    theirs = binomtest(hits, trials).proportion_ci(0.95, "exact")
    np.testing.assert_allclose(binomial_limits(hits, trials), [theirs.low, theirs.high], atol=1e-12)


def test_few_votes_mislead_and_a_warning_says_so():
    """All sets have in them what humans voted from, and of single votes none has the frequencies."""
    truth = np.broadcast_to(np.array([0.6, 0.4]), (400, 2))
    sets = Balls(truth, radius=0.05)
    with pytest.warns(FewVotesWarning, match=r"0.0% of the sets .* but 100.0% may .*: 1 votes per sample cannot tell"):
        found = coverage(sets, HumanVotes(sample_labels(truth, n=1, counts=True)))
    assert (found.rate, found.highest_rate) == (0, 1)
    with pytest.warns(FewVotesWarning):
        found = coverage(sets, HumanVotes(sample_labels(truth, n=10, counts=True)))
    assert found.rate < 0.5
    assert found.highest_rate > 0.95
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = coverage(sets, HumanVotes(sample_labels(truth, n=10_000, counts=True)))
        assert found.rate > 0.99
        wrong = Balls(np.broadcast_to(np.array([0.3, 0.7]), (400, 2)), radius=0.05)
        found = coverage(wrong, HumanVotes(sample_labels(truth, n=1000, counts=True)))
        assert found.rate == found.highest_rate == 0


def test_what_votes_leave_possible_is_at_least_what_is_covered():
    members = some_members(0, 100, 3, 4)
    rows = some_rows(1, 100, 4)
    votes = HumanVotes(sample_labels(rows, n=30, counts=True), indices=np.arange(100)[::-1])
    for kind in (ProbabilityIntervals, ConvexHulls, Balls.from_members):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewVotesWarning)
            found = coverage(kind(members), votes)
        assert not (found.covered & ~found.compatible).any()


def test_groups():
    covered = np.array([True] * 19 + [False] + [True] * 5 + [False] * 5)
    groups = np.array(["many"] * 20 + ["few"] * 10)
    found = conditional_coverage(covered, groups, target=0.95)
    few, many = found.groups
    assert (few.group, few.samples, few.rate, few.satisfied, few.refuted) == ("few", 10, 0.5, False, True)
    assert (many.group, many.rate, many.satisfied, many.refuted) == ("many", 0.95, True, False)
    assert found.satisfaction == 0.5
    assert found.worst is few
    assert conditional_coverage(covered, np.zeros(30, int), target=0.8).satisfaction == 1


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([True, False], [1]), AlignmentError, "groups: expected one per sample"),
        (([True], [1], 1.5), ValueError, "target: expected a share from 0 to 1"),
        (([], []), ValueError, "of at least one sample"),
    ],
)
def test_groups_that_do_not_fit(arguments, error, says):
    with pytest.raises(error, match=says):
        conditional_coverage(*arguments)


def test_no_samples():
    with pytest.raises(ValueError, match="sets: expected at least one sample"):
        coverage(Balls(np.zeros((0, 2)), 0.1), np.zeros((0, 2)))


def test_distributions_are_no_sets():
    rows = some_rows(0, 4, 3)
    with pytest.raises(TypeError, match=r"sets: expected credal sets, got ndarray; .*ConvexHulls\(distributions\)"):
        coverage(rows, rows)
