"""Credal sets: what they cover, against closed forms and a linear program."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from probly.data_generator import Distributions
from probly.data_generator.errors import AlignmentError
from probly_data_generator_evaluation import Balls, ConvexHulls, ProbabilityIntervals, blocks
from probly_data_generator_evaluation.distances import DISTANCES, envelope
from tests.evaluation.numbers import some_members, some_rows

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 6), st.integers(2, 8))
KINDS = [
    ProbabilityIntervals,
    ConvexHulls,
    Balls.from_members,
    lambda members: Balls.from_members(members, "hellinger"),
    lambda members: Balls.from_members(members, "euclidean"),
]


def mixtures(members, seed=0):
    weights = np.random.default_rng(seed).dirichlet(np.full(members.shape[1], 0.5), len(members))
    return np.einsum("nm,nmk->nk", weights, members.astype(np.float64))


def in_hull(members, row):
    """Return whether a linear program finds weights: what most libraries do, one row after another."""
    system = np.vstack([members.T, np.ones(len(members))])
    found = linprog(np.zeros(len(members)), A_eq=system, b_eq=[*row, 1.0], bounds=(0, None), method="highs")
    return found.status == 0


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6), shape=SHAPES, dtype=st.sampled_from([np.float16, np.float32, np.float64]))
@settings(max_examples=25, deadline=None)
def test_members_and_their_mixtures_are_always_covered(kind, seed, shape, dtype):
    members = some_members(seed, *shape, dtype)
    sets = kind(members)
    for member in range(shape[1]):
        assert sets.covers(members[:, member]).all()
    assert sets.covers(mixtures(members, seed).astype(members.dtype)).all()


@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_of_two_classes_hull_and_interval_are_the_same(seed, samples, members):
    values, truth = some_members(seed, samples, members, 2), some_rows(seed + 1, samples, 2)
    intervals = ProbabilityIntervals(values).covers(truth, tolerance=1e-9)
    np.testing.assert_array_equal(ConvexHulls(values).covers(truth, tolerance=np.sqrt(2) * 1e-9), intervals)


@given(st.integers(0, 10**6), st.integers(2, 7), st.integers(2, 5))
@settings(max_examples=60, deadline=None)
def test_the_hull_is_that_of_a_linear_program(seed, members, classes):
    values = some_members(seed, 6, members, classes)
    truth = np.concatenate([mixtures(values[:3], seed), some_rows(seed, 3, classes, 2.0)])
    truth[2] = 0.9 * truth[2] + 0.1 * values[2, 0]
    expected = [in_hull(rows, row) for rows, row in zip(values, truth, strict=True)]
    np.testing.assert_array_equal(ConvexHulls(values).covers(truth), expected)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6), shape=SHAPES, random=st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_permutations_permute_the_answers(kind, seed, shape, random):
    members = some_members(seed, *shape)
    truth = 0.5 * mixtures(members) + 0.5 * some_rows(seed, shape[0], shape[2], 2.0)
    samples, order, classes = (random.sample(range(size), size) for size in shape)
    sets, permuted = kind(members), kind(members[np.ix_(samples, order, classes)])
    np.testing.assert_array_equal(permuted.covers(truth[samples][:, classes]), sets.covers(truth)[samples])
    np.testing.assert_allclose(permuted.widths(), sets.widths()[samples], atol=1e-12)


def test_a_hull_is_in_its_interval_and_in_its_ball(monkeypatch):
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 100)
    members = some_members(5, 200, 4, 3)
    truth = 0.8 * mixtures(members) + 0.2 * some_rows(6, 200, 3)
    interval, hull, ball = (kind(members).covers(truth) for kind in KINDS[:3])
    assert 0 < hull.sum() < interval.sum() < 200
    assert not (hull & ~interval).any()
    assert not (hull & ~ball).any()


def test_intervals_do_not_round():
    members = np.array([[[0.25, 0.75], [0.5, 0.5]]], np.float32)
    edge = np.array([[0.25, 0.75]], np.float32)
    beyond = np.array([[np.nextafter(edge[0, 0], np.float32(0)), 0.75]], np.float32)
    intervals = ProbabilityIntervals(members)
    assert intervals.covers(edge).all()
    assert not intervals.covers(beyond).any()
    assert intervals.covers(beyond, tolerance=1e-7).all()
    assert not intervals.covers(np.array([[0.25 - 1e-13, 0.75 + 1e-13]])).any()


def test_a_distribution_just_outside_a_hull_is_outside():
    members = np.array([[[1.0, 0, 0], [0, 1.0, 0]]])
    for off, covered in ((1e-8, False), (1e-11, True)):
        assert ConvexHulls(members).covers(np.array([[0.5 - off / 2, 0.5 - off / 2, off]])).item() is covered


def test_a_thousand_classes():
    members = some_members(0, 5, 4, 1000, np.float32)
    inside = mixtures(members)
    outside = inside.copy()
    outside[:, 0] += 0.1
    outside /= outside.sum(axis=1, keepdims=True)
    for kind in KINDS[:2]:
        assert kind(members).covers(inside.astype(np.float32)).all()
        assert not kind(members).covers(outside.astype(np.float32)).any()
    near = inside.copy()  # within all intervals, but no mixture
    near[:, :2] += np.where(near[:, :1] > 5e-6, [-5e-6, 5e-6], [5e-6, -5e-6])
    assert not ConvexHulls(members).covers(near.astype(np.float32)).any()


@pytest.mark.parametrize("distance", DISTANCES)
def test_balls_of_a_centre_and_a_radius(distance):
    centre, truth = some_rows(1, 50, 4), some_rows(2, 50, 4)
    away = DISTANCES[distance](centre, truth)
    for factor, covered in ((1.01, True), (0.99, False)):
        assert (Balls(centre, away * factor, distance).covers(truth) == covered).all()
    assert Balls(centre, 2.0, distance).covers(truth).all()


@pytest.mark.parametrize("distance", ["total_variation", "hellinger"])
def test_the_envelope_of_a_ball_is_reached(distance):
    """The distribution that scales the other classes alike is at the radius, or a corner."""
    centre = some_rows(3, 30, 4) * 0.9 + 0.025
    lower, upper = envelope(centre, np.full((30, 1), 0.1), distance)
    for bound in (lower, upper):
        for column in range(4):
            other = centre * ((1 - bound[:, column]) / (1 - centre[:, column]))[:, None]
            other[:, column] = bound[:, column]
            away = DISTANCES[distance](centre, other)
            at_corner = (bound[:, column] == 0) | (bound[:, column] == 1)
            np.testing.assert_allclose(away[~at_corner], 0.1, atol=1e-12)
            assert (away[at_corner] <= 0.1 + 1e-12).all()


def test_widths_have_closed_forms():
    assert ProbabilityIntervals(np.eye(3)[None]).widths().tolist() == [1]
    assert ConvexHulls(np.array([[[0.5, 0.5]]])).widths().tolist() == [0]
    np.testing.assert_allclose(Balls(np.full((1, 4), 0.25), 0.1).widths(), 0.2)
    np.testing.assert_allclose(Balls(np.full((1, 2), 0.5), 0.1, "euclidean").widths(), 2 * 0.1 / np.sqrt(2))


def test_truth_is_matched_by_index():
    members = np.array([[[0.5, 0.5]], [[0.25, 0.75]]])
    held = type("Held", (), {"members": members, "indices": np.array([4, 9])})()
    truth = {9: [0.25, 0.75], 4: [0.5, 0.5], 7: [1.0, 0.0]}
    assert ProbabilityIntervals(held).covers(truth).all()
    with pytest.raises(AlignmentError, match="truth: nothing for index 4"):
        ProbabilityIntervals(held).covers(Distributions([[0.25, 0.75]], [9]))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"radius": -1}, "radius: expected at least 0, got -1.0 for index 0"),
        ({"radius": [0.1, 0.2, 0.3]}, r"one per sample \(2\), got the shape \(3,\)"),
        ({"radius": 0.1, "distance": "cosine"}, "distance: expected one of 'total_variation'"),
    ],
)
def test_balls_out_of_their_domain(arguments, says):
    with pytest.raises(ValueError, match=says):
        Balls(np.full((2, 2), 0.5), **arguments)
