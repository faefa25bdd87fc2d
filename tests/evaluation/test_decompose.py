"""Decompositions against closed forms and definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from probly_data_generator_evaluation import blocks, decompose
from probly_data_generator_evaluation.decompose import SCORES
from tests.evaluation.numbers import some_members

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 6))


def arrays(found):
    return np.stack([getattr(found, name) for name in SCORES])


@given(st.integers(0, 10**6), SHAPES)
@settings(max_examples=50, deadline=None)
def test_they_are_those_of_their_definitions(seed, shape):
    members = some_members(seed, *shape)
    found, mean = decompose(members), members.mean(axis=1)
    np.testing.assert_allclose(found.total, entropy(mean, axis=1), atol=1e-12)
    np.testing.assert_allclose(found.aleatoric, entropy(members, axis=2).mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(found.total, found.aleatoric + found.epistemic, atol=1e-12)
    divergences = entropy(members, mean[:, None], axis=2).mean(axis=1)
    np.testing.assert_allclose(found.epistemic, divergences, atol=1e-12, err_msg="the mean divergence from the mean")
    np.testing.assert_allclose(found.epistemic_variance, members.var(axis=1).sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(found.aleatoric_variance, (members * (1 - members)).sum(axis=2).mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(found.total_variance, (mean * (1 - mean)).sum(axis=1), atol=1e-12)
    assert (arrays(found) >= 0).all()


@given(st.integers(0, 10**6), SHAPES, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_permutations_permute_the_answers(seed, shape, random):
    members = np.round(some_members(seed, *shape), 1)  # with ties
    members /= members.sum(axis=2, keepdims=True)
    found = arrays(decompose(members))
    samples, order, classes = (random.sample(range(size), size) for size in shape)
    permuted = arrays(decompose(members[np.ix_(samples, order, classes)]))
    np.testing.assert_allclose(permuted, found[:, samples], atol=1e-12)


def test_members_that_agree_have_no_epistemic_uncertainty():
    row = np.array([0.7, 0.2, 0.1])
    found = decompose(np.broadcast_to(row, (1, 8, 3)))
    np.testing.assert_allclose(found.total, entropy(row))
    np.testing.assert_allclose([found.epistemic, found.epistemic_variance], 0, atol=1e-15)
    np.testing.assert_allclose(found.disagreement, 0, atol=1e-15)


def test_sure_members_of_all_classes_have_nothing_else():
    found = decompose(np.eye(4)[None])
    np.testing.assert_allclose(found.epistemic, np.log(4))
    assert found.aleatoric[0] == 0
    np.testing.assert_allclose([found.epistemic_variance[0], found.disagreement[0]], [0.75, 1])


def test_disagreement_counts_pairs():
    tops = [0, 0, 0, 1, 2]
    members = np.full((1, 5, 3), 0.2)
    members[0, range(5), tops] = 0.6
    agreeing = sum(a == b for at, a in enumerate(tops) for b in tops[:at])
    np.testing.assert_allclose(decompose(members).disagreement, 1 - agreeing / 10)


def test_float32_members_in_many_blocks(monkeypatch):
    members = some_members(3, 40, 3, 5, np.float32)
    whole = decompose(members)
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 50)
    np.testing.assert_array_equal(arrays(decompose(members)), arrays(whole))
    exact = members.astype(float)
    exact /= exact.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(whole.total, entropy(exact.mean(axis=1), axis=1), atol=1e-12)
    assert whole.means()["total"] == pytest.approx(whole.total.mean())


def test_no_samples():
    found = decompose(np.zeros((0, 3, 4)))
    assert found.total.shape == (0,)
    assert found.means()["total"] is None
