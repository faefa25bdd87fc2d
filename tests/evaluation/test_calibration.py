"""Temperatures that were planted are found, rows at another temperature are right, and the other half is asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import log_loss

from probly.data_generator import Distributions
from probly.data_generator.errors import AlignmentError
from probly_data_generator_evaluation import HumanVotes, blocks, calibrate, fit_temperature, rescale, sample_labels
from tests.evaluation.numbers import some_rows


def positive_rows(seed, samples, classes):
    return softmax(2 * np.random.default_rng(seed).normal(size=(samples, classes)), axis=1)


@given(st.integers(0, 10**6), st.floats(0.2, 5.0), st.integers(2, 6))
@settings(max_examples=25, deadline=None)
def test_a_planted_temperature_is_found(seed, temperature, classes):
    truth = positive_rows(seed, 60, classes)
    found = fit_temperature(rescale(truth, 1 / temperature), truth)
    assert found.temperature == pytest.approx(temperature, rel=1e-9)
    assert found.loss == pytest.approx(-(truth * np.log(truth)).sum(axis=1).mean(), rel=1e-9)


def test_rows_of_float32_in_many_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 100)
    truth = positive_rows(1, 300, 5)
    sharp = rescale(truth, 0.5).astype(np.float32)
    assert fit_temperature(sharp, truth).temperature == pytest.approx(2, rel=1e-5)
    assert fit_temperature(Distributions(sharp), Distributions(truth)).temperature == pytest.approx(2, rel=1e-5)


def test_the_losses_are_those_of_scikit_learn():
    rows = positive_rows(2, 200, 4)
    labels = sample_labels(rescale(rows, 1.7), seed=3)[:, 0]
    found = fit_temperature(rows, labels)
    assert found.loss_before == pytest.approx(log_loss(labels, rows, labels=range(4)), rel=1e-12)
    assert found.loss == pytest.approx(log_loss(labels, rescale(rows, found.temperature), labels=range(4)), rel=1e-12)
    for nearby in (0.99, 1.01):
        assert log_loss(labels, rescale(rows, found.temperature * nearby), labels=range(4)) > found.loss
    assert found.samples == 200


def test_labels_are_those_of_the_distributions_and_rows_without_one_are_left_out():
    rows = positive_rows(4, 100, 3)
    labels = sample_labels(rescale(rows, 2.0), seed=1)[:, 0]
    partly = np.where(np.arange(100) < 70, labels, -1)
    names = np.array(["a", "b", "c"])[labels]
    whole = fit_temperature(Distributions(rows, labels=partly))
    assert whole.samples == 70
    assert whole.temperature == pytest.approx(fit_temperature(rows[:70], labels[:70]).temperature, rel=1e-5)
    named = Distributions(rows, labels=names, meta={"class_names": ["a", "b", "c"]})
    assert fit_temperature(named).temperature == fit_temperature(Distributions(rows), labels).temperature


def test_votes_are_soft_targets():
    truth = positive_rows(5, 4000, 3)
    votes = HumanVotes(sample_labels(truth, n=30, counts=True))
    assert fit_temperature(rescale(truth, 1 / 3), votes).temperature == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize(
    ("rows", "targets", "error", "says"),
    [
        ([[0.9, 0.1], [0.2, 0.8]], [0, 1], ValueError, "each lower one is better: the targets are the largest entries"),
        ([[0.9, 0.1], [0.2, 0.8]], [1, 0], ValueError, "each higher one is better: the rows know less"),
        ([[0.9, 0.1]], None, ValueError, "labels: expected one per row, got none; pass labels="),
        ([[0.9, 0.1]], [0, 1], AlignmentError, r"labels: expected one per row \(1\), got 2"),
        ([[0.9, 0.1]], [5], ValueError, "labels: .*expected class indices from 0 to 1"),
        (np.zeros((0, 2)), np.zeros((0, 2)), ValueError, "expected at least one row with a target"),
    ],
)
def test_targets_that_say_nothing_are_refused(rows, targets, error, says):
    with pytest.raises(error, match=says):
        fit_temperature(np.asarray(rows, float), targets)


@given(st.integers(0, 10**6), st.floats(0.05, 20.0))
@settings(max_examples=30, deadline=None)
def test_rescaling_is_the_softmax_of_logs(seed, temperature):
    rows = some_rows(seed, 20, 5)
    with np.errstate(divide="ignore"):
        expected = softmax(np.log(rows) / temperature, axis=1)
    np.testing.assert_allclose(rescale(rows, temperature), expected, atol=1e-12)
    np.testing.assert_allclose(rescale(rows, 1.0), rows, atol=1e-12)


def test_rescaled_distributions_keep_what_stands_beside_them(tmp_path):
    given_rows = Distributions(some_rows(1, 30, 4), np.arange(30) + 5, np.arange(30) % 4, {"backend": "numpy"})
    found = rescale(given_rows, 2.0)
    assert found.indices.tolist() == given_rows.indices.tolist()
    assert found.labels.tolist() == given_rows.labels.tolist()
    assert found.meta == {"backend": "numpy", "rescaled_temperature": 2.0}
    assert rescale(found, 1.5).meta["rescaled_temperature"] == 3.0
    np.testing.assert_allclose(rescale(found, 0.5), np.asarray(given_rows), atol=1e-6)
    out = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, (30, 4))
    mapped = rescale(given_rows, 2.0, out=out)
    assert mapped == found
    assert np.shares_memory(mapped.probabilities, out)


@pytest.mark.parametrize("temperature", [0, -1, np.inf, np.nan, True, "2"])
def test_temperatures_out_of_their_domain(temperature):
    with pytest.raises(ValueError, match="temperature: expected a finite number above 0"):
        rescale(np.array([[0.5, 0.5]]), temperature)


def test_out_of_another_shape():
    with pytest.raises(ValueError, match=r"out: expected floats of the shape \(1, 2\)"):
        rescale(np.array([[0.5, 0.5]]), 2.0, out=np.zeros((2, 2)))


@pytest.mark.parametrize("keyed", [True, False])
def test_calibrating_lowers_the_distance_on_the_other_half(keyed):
    truth = positive_rows(6, 1000, 4)
    counts = sample_labels(truth, n=20, seed=8, counts=True)
    sharp, indices = rescale(truth, 0.4), np.arange(1000) * 2
    rows = Distributions(sharp, indices) if keyed else sharp
    votes = HumanVotes(counts, indices=indices if keyed else None)
    found = calibrate(rows, by=votes, split=0.3, seed=1)
    assert found.temperature == pytest.approx(2.5, rel=0.05)
    assert len(found.fitted_on) == 300
    both = np.sort(np.concatenate([found.fitted_on, found.reported_on]))
    assert both.tolist() == (indices if keyed else np.arange(1000)).tolist()
    for name in found.before:
        assert found.after[name] < found.before[name]
    assert found.after["unbiased_squared_distance"] == pytest.approx(0, abs=2e-3)
    places = np.flatnonzero(np.isin(indices if keyed else np.arange(1000), found.fitted_on))
    alone = fit_temperature(sharp[places], HumanVotes(counts[places]))
    assert found.temperature == pytest.approx(alone.temperature, rel=1e-5)


def test_samples_without_votes_are_left_out():
    truth = positive_rows(7, 100, 3)
    votes = HumanVotes(sample_labels(truth, n=20, counts=True)[:40], indices=range(40))
    found = calibrate(Distributions(rescale(truth, 0.5)), by=votes)
    assert len(found.fitted_on) == len(found.reported_on) == 20
    with pytest.raises(ValueError, match=r"got 0.001 of 40 samples with votes"):
        calibrate(Distributions(truth), by=votes, split=0.001)
    with pytest.raises(AlignmentError, match="votes: expected 100 rows"):
        calibrate(truth, by=votes)


def test_sample_keys_stay_with_their_rows():
    given = Distributions([[0.5, 0.5], [0.9, 0.1]], [4, 2], sample_keys=["4.png", "2.png"])
    assert rescale(given, 2.0).sample_keys.tolist() == ["2.png", "4.png"]
