"""Labels: one array of them whatever they came as, and which column each one is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probly.data_generator import Distributions
from probly.data_generator.label_values import class_name, join_labels, label_values, plain_classes
from probly.data_generator.labels import OTHER, UNLABELLED, class_columns
from probly.data_generator.metrics import brier_score, negative_log_likelihood, report
from probly.data_generator.run.class_names import known_columns

ROWS = np.eye(4, dtype=np.float32) * 0.96 + 0.01
NAMES = list("abcd")


class NAType:
    """Stands in for pandas' NA, which is equal to nothing and has no truth value."""

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise TypeError

    __hash__ = None


@pytest.mark.parametrize(
    ("given_labels", "expected"),
    [
        (["a", "bc"], np.array(["a", "bc"])),
        ([b"a", "\u00e9".encode()], np.array(["a", "\u00e9"])),
        (np.array([b"a", b"bc"]), np.array(["a", "bc"])),
        (np.array(["a", "bc"], object), np.array(["a", "bc"])),
        (["a", None], np.array(["a", None], object)),
        (["a", np.nan], np.array(["a", None], object)),
        (["a", NAType()], np.array(["a", None], object)),
        ([1, None, 3], np.array([1, -1, 3])),
        ([True, None], np.array([1, -1])),
        ([1.5, None], np.array([1.5, np.nan])),
        ([1, np.nan], np.array([1, np.nan])),
        ([np.int32(4), np.int64(5)], np.array([4, 5])),
        ([None, None], np.array([None, None], object)),
        ([[0, 1], [1, 0]], np.array([[0, 1], [1, 0]])),
    ],
)
def test_one_array_whatever_they_came_as(given_labels, expected):
    found = label_values(given_labels)
    assert found.dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(found, expected)
    assert label_values(found).dtype == found.dtype
    kept = Distributions(np.full((len(found), 2), 0.5), labels=given_labels).labels
    np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize("mixed", [["a", 1], [{"box": 1}, None], [[1], [1, 2]], [2**70, 1], [1, {"a": 2}]])
def test_what_fits_nowhere_stays_objects(mixed):
    found = label_values(mixed)
    assert found.dtype == object
    assert found.tolist() == mixed
    assert class_columns(found, 4, NAMES).columns is None


def test_one_long_text_does_not_make_all_long():
    assert label_values(["a"] * 100_000 + ["b" * 10_000]).nbytes < 1e6


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([2, np.array([3])], [-1, -1, 3]),
        ([np.array([0.5]), 1], [0.5, np.nan]),
        ([np.array(["a"]), 1, np.array(["b", None], object)], ["a", None, "b", None]),
        ([np.array([None], object), np.array([7])], [-1, 7]),
        ([np.array([1]), np.array(["a"])], None),
        ([np.eye(2), np.eye(3)], None),
        ([3, 2], None),
        ([], None),
    ],
)
def test_batches_are_joined_and_rows_without_a_label_stay_such(parts, expected):
    found = join_labels(parts)
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, np.asarray(expected, found.dtype))


@pytest.mark.parametrize("stray", [-1, None, np.nan, 7, -100])
def test_one_stray_label_loses_no_scores(stray):
    labels = [0, 1, stray, 3]
    found = class_columns(labels, 4)
    assert found.columns.tolist() == [0, 1, UNLABELLED, 3]
    assert found.labelled == 3
    assert (found.note is None) == (stray in (-1, None) or stray != stray)  # noqa: PLR0124  # NaN
    said = report(Distributions(ROWS, labels=labels))
    assert said["metrics"]["accuracy"] == 1.0
    assert said["labels"]["labelled"] == 3
    assert said["class_distribution"]["ground_truth"] == {"0": 1, "1": 1, "2": 0, "3": 1}


@pytest.mark.parametrize("labels", [["a", "cow", "c", "d"], ["a", None, "c", "d"], [b"a", np.nan, b"c", b"d"]])
def test_text_is_names(labels):
    said = report(Distributions(ROWS, labels=labels, meta={"class_names": NAMES}))
    assert (said["metrics"]["accuracy"], said["labels"]["labelled"]) == (1.0, 3)
    assert (said["labels"]["note"] is None) == ("cow" not in labels)
    nameless = class_columns(labels, 4)
    assert nameless.columns is None
    assert "set class_names" in nameless.note


@pytest.mark.parametrize("chosen", [[1, 2], [0, 1, 2], [0, 1], [0]])
@pytest.mark.parametrize("dtype", [int, float, np.uint8])
def test_numbers_are_names_where_the_model_says_so_whatever_labels_there_are(chosen, dtype):
    labels = np.array(chosen, dtype)
    found = class_columns(labels, 2, ["1", "2"], [1, 2])
    assert found.columns.tolist() == [{1: 0, 2: 1}.get(label, OTHER) for label in chosen]
    assert found.labelled == len(chosen)


@pytest.mark.parametrize("classes", [[10.0, 20.0, 30.0], [10, 20, 30]])
@pytest.mark.parametrize("labels", [[10, 30], [10.0, 30.0], ["10", "30"], np.array([10, 30], np.int8)])
def test_a_number_is_the_same_as_int_float_and_text(classes, labels):
    names = [class_name(one) for one in classes]
    assert class_columns(labels, 3, names, classes).columns.tolist() == [0, 2]


def test_numbers_are_positions_where_nobody_says_more():
    assert class_columns([2, 0], 3, ["b", "c", "a"]).columns.tolist() == [2, 0]
    assert class_columns([2, 0], 3, ["0", "1", "2"]).columns.tolist() == [2, 0]
    assert class_columns([2, 0], 3, ["b", "c", "a"], ["b", "c", "a"]).columns.tolist() == [2, 0]
    assert class_columns([True, False], 2, ["False", "True"]).columns.tolist() == [1, 0]
    assert class_columns([True, False], 2, ["True", "False"]).columns.tolist() == [0, 1]
    assert class_columns([True, False], 2).columns.tolist() == [1, 0]


@pytest.mark.parametrize("labels", [[1, 2, 3], [0, 1, 2], [1]])
def test_numbers_and_names_that_are_numbers_are_asked_about(labels):
    columns, note = class_columns(labels, 3, ["1", "2", "3"])
    assert columns is None
    assert "pass class_names as numbers (1, 2, 3, ...)" in note
    names, classes = known_columns(3, user=[1, 2, 3], model=None, classes=None, dataset=None)
    assert class_columns([1, 3], 3, names, classes).columns.tolist() == [0, 2], "and that works"


def test_labels_that_count_from_1_are_not_scored_one_off():
    columns, note = class_columns([1, 2, 3, 3], 3)
    assert columns is None
    assert "subtract 1" in note


@pytest.mark.parametrize(
    "labels",
    [[[1, 1, 0, 0]] * 4, np.zeros((4, 4)), np.eye(4) * -2.5, [[10, 20, 30, 40]] * 4, np.eye(4) * 0.9, np.eye(3)],
)
def test_only_one_hot_rows_are_labels_of_classes(labels):
    columns, note = class_columns(labels, 4)
    assert columns is None
    assert "not one-hot" in note
    assert class_columns(np.eye(4)[[2, 0]], 4).columns.tolist() == [2, 0]
    assert class_columns(np.eye(4, dtype=bool)[[2, 0]], 4).columns.tolist() == [2, 0]


def test_columns_of_one_name_are_not_chosen_from():
    assert class_columns(["a", "b"], 2, ["a", "a"]) == (None, "two columns are called 'a'")
    assert class_columns([1, 2], 2, ["1", "1"], [1, 1]) == (None, "two columns are called 1")
    assert class_columns([None, None], 2, ["a", "a"]) == (None, "no row has a label")


def test_targets_are_no_classes():
    assert "targets" in class_columns([0.5, 1.0], 2).note
    assert "no row has a label" in class_columns([-1, -1], 2).note
    assert class_columns([], 2) == (None, None)


def test_the_probability_of_a_class_that_has_no_column_is_0():
    rows, labels = np.float32([[0.25, 0.75]]), np.array([OTHER])
    assert brier_score(rows, labels) == 0.25**2 + 0.75**2 + 1
    assert negative_log_likelihood(rows, labels) == pytest.approx(-np.log(np.finfo(np.float32).tiny))


def test_classes_of_several_outputs_have_no_names():
    assert plain_classes([np.array([0, 1]), np.array([0, 1, 2])]) is None
    assert plain_classes(np.array([b"x"])) == ["x"]


@given(st.lists(st.sampled_from([0, 1, 2, 3, -1, None, float("nan"), 9, -7]), min_size=1, max_size=12))
def test_scores_are_those_of_the_rows_with_a_class(labels):
    rows = np.tile(ROWS, (3, 1))[: len(labels)]
    kept = [place for place, label in enumerate(labels) if label in (0, 1, 2, 3)]
    said = report(Distributions(rows, labels=labels))
    positive = [label for label in labels if label is not None and label == label and label != -1]  # noqa: PLR0124
    if positive and min(positive) >= 1 and max(positive) == 4:
        return
    assert said["labels"]["labelled"] == len(kept)
    expected = [rows[place].argmax() == labels[place] for place in kept]
    assert said["metrics"]["accuracy"] == (pytest.approx(np.mean(expected)) if kept else None)


def test_one_long_text_in_one_batch_does_not_widen_the_others():
    parts = [np.array(["a" * 100_000, "b"]), *[np.array(["c"] * 1000)] * 5]
    found = join_labels(parts)
    assert found.dtype == object, "as wide as the longest, they would take 2 GB"
    assert [len(label) for label in found[:3]] == [100_000, 1, 1]
    assert len(found) == 5002
