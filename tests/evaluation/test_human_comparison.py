"""Distances to human votes, against definitions, peers, and what is expected of noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import binom, entropy, spearmanr

from probly.data_generator import Distributions
from probly.data_generator.errors import AlignmentError
from probly_data_generator_evaluation import HumanVotes, blocks, compare_to_humans, sample_labels
from probly_data_generator_evaluation.human_comparison import SCORES, expected_total_variation
from tests.evaluation.numbers import some_rows


def some_votes(seed, rows, votes):
    random = np.random.default_rng(seed)
    return np.stack(
        [random.multinomial(m, row) for m, row in zip(np.broadcast_to(votes, len(rows)), rows, strict=True)]
    )


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_they_are_those_of_their_definitions(seed, samples, classes):
    rows = some_rows(seed, samples, classes) * 0.9 + 0.1 / classes
    counts = some_votes(seed, some_rows(seed + 1, samples, classes), 12)
    found, p = compare_to_humans(rows, HumanVotes(counts)), counts / 12
    np.testing.assert_allclose(found["total_variation"], np.abs(p - rows).sum(axis=1) / 2, atol=1e-12)
    np.testing.assert_allclose(found["kullback_leibler"], entropy(p, rows, axis=1), atol=1e-12)
    np.testing.assert_allclose(found["jensen_shannon"], jensenshannon(p, rows, axis=1) ** 2, atol=1e-9)
    np.testing.assert_allclose(found["human_entropy"], entropy(p, axis=1), atol=1e-12)
    for place in range(samples):
        agrees = all(
            rows[place, a] > rows[place, b]
            for a in range(classes)
            for b in range(classes)
            if counts[place, a] > counts[place, b]
        )
        assert found["ranking"][place] == agrees


@given(st.integers(1, 30), st.integers(0, 10**6).map(lambda number: number / 10**6))
@settings(max_examples=60, deadline=None)
def test_the_expected_total_variation_is_the_sum_over_all_outcomes(votes, q):
    outcomes = np.arange(votes + 1)
    deviation = (np.abs(outcomes / votes - q) * binom.pmf(outcomes, votes, q)).sum()
    found = expected_total_variation(np.array([[q, 1 - q]]), np.array([votes]))
    np.testing.assert_allclose(found, deviation, atol=1e-9)


def test_noise_is_known_about():
    """Votes that were drawn from the rows: what is corrected is 0 or the truth in expectation, what is not is not."""
    rows = np.broadcast_to(np.array([0.5, 0.3, 0.2]), (20_000, 3))
    votes = HumanVotes(sample_labels(rows, n=20, seed=4, counts=True))
    found = compare_to_humans(rows, votes)
    summary = found.summary()
    expected = (0.5 * 0.5 + 0.3 * 0.7 + 0.2 * 0.8) / 20
    assert summary["squared_distance"] == pytest.approx(expected, rel=0.03)
    error = found["unbiased_squared_distance"].std() / np.sqrt(20_000)
    assert abs(summary["unbiased_squared_distance"]) < 4 * error
    assert summary["total_variation"] == pytest.approx(summary["total_variation_of_noise"], rel=0.01)
    assert summary["half_total_variation"] > summary["total_variation"]
    truth = entropy(rows[0])
    assert abs(summary["corrected_human_entropy"] - truth) < abs(summary["human_entropy"] - truth) / 5
    assert abs(summary["corrected_kullback_leibler"]) < summary["kullback_leibler"] / 5


def test_a_wrong_model_has_its_squared_distance_whatever_the_votes():
    truth, model = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    for number in (2, 5, 50):
        votes = HumanVotes(sample_labels(np.broadcast_to(truth, (20_000, 3)), n=number, seed=1, counts=True))
        found = compare_to_humans(np.broadcast_to(model, (20_000, 3)), votes)["unbiased_squared_distance"]
        assert found.mean() == pytest.approx(0.18, abs=4 * found.std() / np.sqrt(20_000))


def test_halves_hold_the_votes_and_depend_on_the_sample_only(monkeypatch):
    rows = some_rows(0, 300, 4)
    counts = some_votes(1, rows, np.random.default_rng(2).integers(1, 9, 300))
    votes = HumanVotes(counts, indices=np.arange(300) * 3)
    whole = compare_to_humans(Distributions(rows, np.arange(300) * 3), votes, seed=5)
    assert np.isnan(whole["half_entropy"]).tolist() == (counts.sum(axis=1) == 1).tolist()
    unanimous = (counts > 0).sum(axis=1) == 1
    assert (whole["half_total_variation"][unanimous & (votes.votes > 1)] == 0).all()
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 30)
    chosen = np.array([8, 90, 200])
    some = compare_to_humans(Distributions(rows[chosen], chosen * 3), votes, seed=5)
    for name in SCORES:
        np.testing.assert_array_equal(some[name], whole[name][chosen], err_msg=name)
    other = compare_to_humans(Distributions(rows, np.arange(300) * 3), votes, seed=6)
    assert not np.array_equal(other["half_entropy"], whole["half_entropy"], equal_nan=True)


def test_permuting_samples_and_classes_permutes_the_answers():
    rows, counts = some_rows(3, 40, 5), some_votes(4, some_rows(5, 40, 5), 10)
    samples, classes = np.random.default_rng(0).permutation(40), np.random.default_rng(1).permutation(5)
    found = compare_to_humans(rows, HumanVotes(counts))
    permuted = compare_to_humans(rows[samples][:, classes], HumanVotes(counts[samples][:, classes]))
    for name in SCORES[:11]:
        np.testing.assert_allclose(permuted[name], found[name][samples], atol=1e-12, err_msg=name)


def test_correlations_and_their_ceiling():
    rows = some_rows(7, 2000, 5, 1.0)
    votes = HumanVotes(sample_labels(rows, n=20, seed=3, counts=True))
    found = compare_to_humans(rows, votes)
    summary = found.summary()
    expected = spearmanr(entropy(rows, axis=1), entropy(votes.frequencies(), axis=1).round(12))[0]
    assert summary["entropy_rank_correlation"] == pytest.approx(expected, abs=1e-9)
    # The rows are what the votes were drawn from: no model can do better, and the ceiling says how well that is.
    assert summary["entropy_correlation"] == pytest.approx(summary["entropy_correlation_ceiling"], abs=0.05)
    assert summary["samples"] == 2000
    assert summary["fewest_votes"] == 20


def test_what_cannot_be_computed_is_none():
    found = compare_to_humans(np.array([[0.5, 0.5]]), HumanVotes([[1, 0]])).summary()
    for name in ("entropy_correlation", "entropy_correlation_ceiling", "half_entropy", "unbiased_squared_distance"):
        assert found[name] is None
    assert found["total_variation"] == 0.5
    json_ready = compare_to_humans(np.zeros((0, 2)), HumanVotes(np.zeros((0, 2), int))).summary()
    assert json_ready["total_variation"] is None


def test_what_does_not_fit_is_refused():
    rows = Distributions([[0.5, 0.5]], [3], meta={"class_names": ["cat", "dog"]})
    with pytest.raises(AlignmentError, match="votes: nothing for index 3"):
        compare_to_humans(rows, HumanVotes([[1, 2]], indices=[4]))
    with pytest.raises(ValueError, match=r"votes: column 0 is 'dog', and that of the rows is 'cat'; .*in_order_of"):
        compare_to_humans(rows, HumanVotes([[1, 2]], indices=[3], class_names=["dog", "cat"]))


def test_votes_for_classes_by_name_need_rows_that_name_theirs():
    rows = Distributions([[0.9, 0.1]], [3])
    votes = HumanVotes([[1, 9]], indices=[3], class_names=["cat", "dog"])
    with pytest.raises(ValueError, match=r"column 0 is 'cat', but the columns of the rows have no names.*class_names="):
        compare_to_humans(rows, votes)
    # Both ways that the message names.
    named = Distributions([[0.9, 0.1]], [3], meta={"class_names": ["dog", "cat"]})
    ordered = votes.in_order_of(["dog", "cat"])
    assert compare_to_humans(named, ordered)["total_variation"] == pytest.approx(0, abs=1e-7)
    assert compare_to_humans(rows, HumanVotes(ordered.counts, ordered.indices))["total_variation"] == pytest.approx(
        0, abs=1e-7
    )
    # Positions are the names of classes that have none.
    assert compare_to_humans(rows, HumanVotes([[9, 1]], [3], class_names=[0, 1]))["total_variation"] == pytest.approx(
        0, abs=1e-7
    )
