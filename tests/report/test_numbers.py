"""The numbers of a report against their definitions, and what they cost."""

import json
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probly.data_generator import Distributions
from probly.data_generator.calibration import Reliability, bin_numbers
from probly.data_generator.metrics import brier_score
from probly.data_generator.metrics import report as metrics_report
from probly.data_generator.report import summarise, write_report
from probly.data_generator.store import open_store
from probly_data_generator_report import summary as summary_module
from probly_data_generator_report.numbers import largest_confusions, numbers
from probly_data_generator_report.scores import Histogram, entropies
from probly_data_generator_store import fod
from tests.report.pages import Page
from tests.report.report_reference import expected_means, expected_scores, sample_distributions, sample_rows


@pytest.mark.parametrize("form", ["memory", "float32", "float16", "top-4"])
def test_the_numbers_are_those_of_their_definitions(form, tmp_path, monkeypatch):
    monkeypatch.setattr(summary_module, "NUMBERS_AT_ONCE", 150)  # many blocks, which end anywhere in a shard
    monkeypatch.setattr(fod, "NUMBERS_AT_ONCE", 40 * 7)
    distributions = sample_distributions(0, 501, 7)
    if form != "memory":
        fod.write(tmp_path / "a.fod", distributions, {}, form, megabytes=0.001)
        distributions = open_store(tmp_path / "a.fod")
        assert len(list((tmp_path / "a.fod" / "shards").iterdir())) > 3
    rows, labels = np.asarray(distributions), distributions.labels
    summary = summarise(distributions, bins=10)
    expected = expected_scores(rows, labels, bins=10)
    assert summary.scores.keys() == expected.keys()
    for name, value in summary.scores.items():
        np.testing.assert_allclose(value, expected[name], rtol=2e-6, atol=1e-7, err_msg=name)
    np.testing.assert_allclose(summary.mass.means, expected_means(rows, labels), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(summary.mass.counts, np.bincount(labels, minlength=7))
    np.testing.assert_array_equal(summary.predicted, np.bincount(rows.argmax(axis=1), minlength=7))


def test_the_scores_are_those_that_generate_reports():
    distributions = sample_distributions(1, 200, 5)
    found, known = summarise(distributions).scores, metrics_report(distributions)
    for name, value in known["metrics"].items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(found["mean_confidence"], known["confidence"]["mean"], rtol=1e-6)
    np.testing.assert_allclose(summarise(distributions).confidence.std, known["confidence"]["std"], rtol=1e-5)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 12), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_any_rows_give_finite_numbers_that_agree_with_their_definitions(seed, rows, classes, bins):
    values, labels = sample_rows(seed, rows, classes)
    summary = summarise(Distributions(values), labels, bins=bins)
    expected = expected_scores(values, labels, bins)
    for name, value in summary.scores.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert summary.entropy.counts.sum() == summary.confidence.counts.sum() == summary.reliability.counts.sum() == rows
    found = json.loads(json.dumps(numbers(summary), allow_nan=False))
    assert found["samples"] == rows
    assert [one["index"] for one in found["most_uncertain"]] == [one.dataset_index for one in summary.uncertain]


@given(st.lists(st.floats(0, 1), max_size=50), st.integers(1, 30))
def test_every_value_is_in_one_bin_that_is_open_below_and_closed_above(values, bins):
    array, edges = np.array(values), np.linspace(0, 1, bins + 1)
    found = bin_numbers(array, edges)
    for value, number in zip(values, found.tolist(), strict=True):
        assert edges[number] < value <= edges[number + 1] or (value == number == 0)


def test_calibration_on_rows_of_which_everything_is_known():
    bins = Reliability.empty(4)
    bins.add(np.array([0.5, 0.5, 0.75, 1.0, 0.5001]), np.array([True, False, True, True, False]))
    assert bins.counts.tolist() == [0, 2, 2, 1]
    assert bins.accuracy.tolist() == [0, 0.5, 0.5, 1]
    np.testing.assert_allclose(bins.confidence, [0, 0.5, (0.75 + 0.5001) / 2, 1])
    np.testing.assert_allclose(bins.expected_calibration_error, 2 / 5 * abs(0.5 - (0.75 + 0.5001) / 2))


def test_entropy_knows_its_extremes():
    assert entropies(np.eye(4, dtype=np.float32)).tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(entropies(np.full((1, 8), 0.125, np.float32)), [np.log(8)], rtol=1e-6)


def test_a_histogram_of_nothing_has_no_nan():
    empty = Histogram.empty(1.0, 5)
    assert (empty.mean, empty.std, empty.total) == (0, 0, 0)


@pytest.mark.parametrize("at_once", [6, 1 << 20])
def test_the_most_uncertain_samples_come_first_and_of_equal_ones_the_earliest(at_once, monkeypatch):
    monkeypatch.setattr(summary_module, "NUMBERS_AT_ONCE", at_once)
    rows = {30: [0.5, 0.5], 10: [0.5, 0.5], 20: [1.0, 0.0], 40: [0.75, 0.25], 5: [0.75, 0.25]}
    summary = summarise(rows, [0, 1, 1, 0, 1], samples=3)  # in the order of the indices: 5, 10, 20, 30, 40
    assert [sample.dataset_index for sample in summary.uncertain] == [10, 30, 5]
    assert [sample.dataset_index for sample in summary.unexpected] == [20, 40, 10]
    assert [sample.label for sample in summary.unexpected] == [1, 1, 1]
    np.testing.assert_array_equal(summary.uncertain[2].row, np.float32([0.75, 0.25]))


def test_the_largest_confusions_are_those_of_the_means():
    rows, labels = sample_rows(3, 300, 6)
    means = expected_means(rows, labels)
    np.fill_diagonal(means, 0)
    found = largest_confusions(summarise(Distributions(rows), labels), count=5)
    np.testing.assert_allclose([pair[2] for pair in found], np.sort(means.ravel())[::-1][:5], rtol=1e-6)
    for source, target, value, count in found:
        np.testing.assert_allclose(means[int(source), int(target)], value, rtol=1e-6)
        assert count == (labels == int(source)).sum()


def test_above_1024_classes_neighbours_are_counted_together():
    rows, labels = sample_rows(4, 60, 2500, sharpness=0.01)
    summary = summarise(Distributions(rows), labels)
    assert summary.mass.width == 3
    assert summary.group_names()[0] == "0-2"
    assert summary.group_names()[-1] == "2499-2499"
    wide = np.zeros((60, 834 * 3))
    wide[:, :2500] = rows
    grouped = wide.reshape(60, 834, 3).sum(axis=2)
    for group in np.unique(labels // 3):
        np.testing.assert_allclose(summary.mass.means[group], grouped[labels // 3 == group].mean(axis=0), atol=1e-7)


def test_labels_are_found_by_the_names_of_classes():
    meta = {"class_names": ["ape", "bee", "cow"]}
    rows, labels = sample_rows(5, 40, 3)
    named = Distributions(rows, labels=np.array(meta["class_names"])[labels], meta=meta)
    assert summarise(named).scores == summarise(Distributions(rows, labels=labels)).scores
    assert summarise(Distributions(rows), np.eye(3, dtype=int)[labels]).scores == summarise(named).scores


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["x", "y"], "2 labels are none of the classes, such as 'x'"),
        ([2, 5], "2 labels are none of the classes, such as 2; expected class indices from 0 to 1"),
        ([1, 2], "labels count from 1 to 2: expected class indices from 0 to 1; subtract 1"),
        ([0.5, 1.0], "labels such as 0.5 are targets"),
        ([[1, 1], [0, 0]], "labels of the shape (2, 2) are not one-hot"),
        ([[9, 9, 20, 20], [3, 3, 8, 8]], "labels of the shape (2, 4) are not one-hot"),
    ],
)
def test_stored_labels_that_are_no_classes_are_named_on_the_page_and_given_ones_are_refused(labels, says, tmp_path):
    rows, meta = [[0.5, 0.5], [1, 0]], {"class_names": ["a", "b"]}
    found = write_report(tmp_path / "a.html", Distributions(rows, labels=labels, meta=meta))
    assert found["accuracy"] is found["reliability"] is None
    assert found["labels"].startswith(says)
    page = Page(tmp_path / "a.html")
    assert found["labels"] in page.text
    assert "reliability" not in page.ids()
    before = (tmp_path / "a.html").read_bytes()
    with pytest.raises(ValueError, match="labels: expected class indices"):
        write_report(tmp_path / "a.html", Distributions(rows, meta=meta), labels=labels)
    assert (tmp_path / "a.html").read_bytes() == before, "the old page stays"


@pytest.mark.parametrize("stray", [-1, None, np.nan, 3])
def test_scores_are_those_of_the_labelled_rows_with_their_number(stray, tmp_path):
    rows, labels = sample_rows(5, 40, 3)
    kept = np.arange(40) % 10 != 7
    given = [stray if not keep else label for keep, label in zip(kept, labels.tolist(), strict=True)]
    found, whole = (
        summarise(Distributions(rows, labels=given)),
        summarise(Distributions(rows[kept], labels=labels[kept])),
    )
    for name in ("accuracy", "negative_log_likelihood", "brier_score", "expected_calibration_error"):
        assert found.scores[name] == pytest.approx(whole.scores[name], rel=1e-12)
    assert (found.labelled, found.samples) == (36, 40)
    np.testing.assert_array_equal(found.mass.sums, whole.mass.sums)
    assert all(sample.label is None for sample in found.uncertain if not kept[sample.dataset_index])
    numbers = write_report(tmp_path / "a.html", Distributions(rows, labels=given))
    assert (numbers["labels"], numbers["labelled"]) == ("used", 36)
    assert "the 36 rows that have a label, of 40" in Page(tmp_path / "a.html").text
    assert (numbers["label_note"] is None) == (stray != 3)


def test_a_class_that_the_model_has_not_learned_is_a_miss_of_probability_0(tmp_path):
    rows = np.float32([[0.5, 0.5], [0.25, 0.75]])
    found = summarise(Distributions(rows, labels=[3, 9], meta={"class_names": ["3", "7"], "classes": [3, 7]}))
    assert found.scores["accuracy"] == 0.5
    assert found.scores["brier_score"] == (0.5 + 1 + 0.25**2 + 0.75**2) / 2
    assert found.labelled == 2
    assert "9" in found.label_note
    write_report(tmp_path / "a.html", found.distributions)


def test_calibration_of_ten_trees_over_ten_bins_is_exact():
    """Ten votes are tenths, of which float32 makes numbers a little above or below the edges of ten bins."""
    votes = np.arange(5, 11).repeat(7)
    rows = np.stack([votes / 10, 1 - votes / 10], axis=1).astype(np.float32)
    labels = (np.arange(len(votes)) * 5 % 7 > 3).astype(int)
    expected = Fraction(0)
    for count in range(5, 11):  # each number of votes is a bin of its own
        chosen = votes == count
        hits = int((rows[chosen].argmax(axis=1) == labels[chosen]).sum())
        expected += abs(hits - sum(Fraction(float(row.max())) for row in rows[chosen]))
    found = summarise(Distributions(rows, labels=labels), bins=10)
    assert found.reliability.counts.tolist() == [0, 0, 0, 0, 7, 7, 7, 7, 7, 7]
    assert found.scores["expected_calibration_error"] == pytest.approx(float(expected / len(votes)), abs=1e-12, rel=0)


@pytest.mark.parametrize("miss", [2e-5, 1e-3, 0.4])
def test_the_brier_score_of_a_sure_row_is_exact(miss):
    rows = np.float32([[1 - miss, miss]])
    parts = [Fraction(float(part)) for part in Distributions(rows)[0]]
    for label in (0, 1):
        expected = sum((part - (column == label)) ** 2 for column, part in enumerate(parts))
        found = summarise(Distributions(rows, labels=[label])).scores["brier_score"]
        assert found == pytest.approx(float(expected), abs=1e-12, rel=0)
        assert brier_score(Distributions(rows).probabilities, np.array([label])) == found


def test_another_number_of_labels_than_rows_is_refused():
    with pytest.raises(ValueError, match=r"labels: expected 2, one per row, got the shape \(3,\)"):
        summarise({0: [0.5, 0.5], 1: [1, 0]}, [0, 1, 1])
    with pytest.raises(ValueError, match="bins, samples"):
        summarise({0: [0.5, 0.5]}, bins=0)


def peak_bytes(path):
    store = open_store(path)
    tracemalloc.start()
    summarise(store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    values, labels = np.tile(sample_rows(12, 1000, 100)[0], (80, 1)), np.arange(80_000) % 100
    peaks = []
    for rows in (20_000, 80_000):
        path = tmp_path / f"{rows}.fod"
        fod.write(path, Distributions(values[:rows], labels=labels[:rows]), {}, "float16", megabytes=1)
        peaks.append(peak_bytes(path))
    indices_and_labels = 60_000 * 8 * 6
    assert peaks[1] < peaks[0] + indices_and_labels, peaks
    assert peaks[1] < 40 * 2**20 < 2 * values.nbytes, peaks
