"""Calibration errors: closed forms, definitions, and a peer where it is exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from probly.data_generator import Distributions
from probly.data_generator.metrics import brier_score, negative_log_likelihood
from probly_data_generator_evaluation import blocks, calibration_errors, fit_temperature, sample_labels
from tests.evaluation.numbers import some_rows


def by_definition(confidences, hits, edges):
    bins = np.clip(np.searchsorted(edges, confidences) - 1, 0, len(edges) - 2)
    return sum(abs((confidences - hits)[bins == one].sum()) for one in range(len(edges) - 1)) / len(confidences)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(2, 6), st.integers(1, 15))
@settings(max_examples=40, deadline=None)
def test_they_are_those_of_their_definitions(seed, samples, classes, bins):
    rows = some_rows(seed, samples, classes)
    labels = np.random.default_rng(seed).integers(0, classes, samples)
    found, edges = calibration_errors(rows, labels, bins), np.linspace(0, 1, bins + 1)
    hits = rows.argmax(axis=1) == labels
    assert found.expected == pytest.approx(by_definition(rows.max(axis=1), hits, edges), abs=1e-9)
    each = [by_definition(rows[:, column], labels == column, edges) for column in range(classes)]
    np.testing.assert_allclose(found.per_class, each, atol=1e-9)
    assert found.classwise == pytest.approx(np.mean(each))
    if len(np.unique(rows.max(axis=1))) == samples:
        order = np.argsort(rows.max(axis=1))
        parts = np.array_split((rows.max(axis=1) - hits)[order], min(bins, samples))
        assert found.adaptive == pytest.approx(sum(abs(part.sum()) for part in parts) / samples, abs=1e-9)


def test_two_classes_are_those_of_scikit_learns_curve():
    rows = some_rows(1, 500, 2, 2.0)
    labels = sample_labels(rows, seed=1)[:, 0]
    shares, means = calibration_curve(labels, rows[:, 1], n_bins=10)
    counts = np.histogram(rows[:, 1], np.linspace(0, 1, 11))[0]
    found = calibration_errors(rows, labels, bins=10)
    assert found.per_class[1] == pytest.approx((np.abs(shares - means) * counts[counts > 0]).sum() / 500, abs=1e-9)


def test_labels_drawn_from_the_rows_are_calibrated():
    rows = some_rows(3, 50_000, 4, 1.0)
    found = calibration_errors(rows, sample_labels(rows, seed=2)[:, 0])
    assert max(found.expected, found.adaptive, found.classwise) < 0.01
    wrong = calibration_errors(rows, sample_labels(rows[::-1], seed=2)[:, 0])
    assert min(wrong.expected, wrong.adaptive, wrong.classwise) > 0.1


def test_permutations_change_nothing(monkeypatch):
    random = np.random.default_rng(4)
    rows = np.round(some_rows(4, 300, 4), 1) + 0.1  # with ties within rows and between them
    rows /= rows.sum(axis=1, keepdims=True)
    labels = random.integers(0, 4, 300)
    found = calibration_errors(rows, labels)
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 70)
    order, columns = random.permutation(300), random.permutation(4)
    permuted = calibration_errors(rows[order][:, columns], np.argsort(columns)[labels[order]])
    assert permuted[:3] == pytest.approx(found[:3], abs=1e-12)


def test_rows_without_a_label_are_left_out():
    rows = Distributions(some_rows(5, 60, 3), labels=np.arange(60) % 4 - 1)
    some = np.flatnonzero(rows.labels >= 0)
    found = calibration_errors(rows)
    assert found.samples == 45
    assert found.expected == pytest.approx(calibration_errors(np.asarray(rows)[some], rows.labels[some]).expected)


@pytest.mark.parametrize("bins", [0, 1.5])
def test_bins_out_of_their_domain(bins):
    with pytest.raises(ValueError, match="bins: expected how many, at least 1"):
        calibration_errors(np.array([[0.5, 0.5]]), [0], bins)


def test_scores_of_the_core_are_those_of_scikit_learn():
    from sklearn.metrics import brier_score_loss, log_loss

    rows = some_rows(6, 100, 3, 2.0) * 0.9 + 0.1 / 3
    labels = np.random.default_rng(1).integers(0, 3, 100)
    theirs = np.mean(((rows - np.eye(3)[labels]) ** 2).sum(axis=1))
    assert brier_score(rows, labels) == pytest.approx(theirs)
    assert brier_score(rows, labels) == pytest.approx(
        brier_score_loss(labels, rows, labels=range(3), scale_by_half=False)
    )
    assert negative_log_likelihood(rows, labels) == pytest.approx(log_loss(labels, rows, labels=range(3)))
    assert fit_temperature(rows, labels).loss_before == pytest.approx(log_loss(labels, rows, labels=range(3)))
