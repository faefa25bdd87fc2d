"""Tables for models that know columns by name: put in order, or refused by the names that are wrong."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

from probly.data_generator.toolkit.tabular import kind_of, numbers_of, rowwise, select_columns, stack_rows, values_of

COLUMNS = {"age": np.array([3, 4]), "dose": np.array([0.5, 1.5])}
KINDS = {"pandas": pd.DataFrame, "arrow": pa.table, "mapping": dict}


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_put_in_the_order_of_the_model(kind):
    given = KINDS[kind]({"dose": COLUMNS["dose"], "age": COLUMNS["age"]})
    chosen = select_columns(given, ["age", "dose"])
    assert type(chosen) is type(given)
    assert list(chosen if kind == "mapping" else getattr(chosen, "column_names", chosen)) == ["age", "dose"]
    for name, values in COLUMNS.items():
        np.testing.assert_array_equal(np.asarray(chosen[name]), values)
    assert select_columns(chosen, ["age", "dose"]) is chosen


@pytest.mark.parametrize("kind", KINDS)
def test_other_columns_are_refused_by_name(kind):
    given = KINDS[kind](COLUMNS)
    with pytest.raises(ValueError, match="missing: 'weight'; not known to it: 'dose'; rename"):
        select_columns(given, ["weight", "age"])
    with pytest.raises(ValueError, match="not known to it: 'dose';"):
        select_columns(given, ["age"])


def test_columns_of_one_name_are_refused():
    twice = pd.concat([pd.DataFrame(COLUMNS), pd.DataFrame({"age": [1, 2]})], axis=1)
    with pytest.raises(ValueError, match="more than once: 'age'"):
        select_columns(twice, ["age", "dose"])


def test_columns_that_are_numbers_are_known_as_texts():
    frame = pd.DataFrame({7: [0.5], 5: [3]})
    assert list(select_columns(frame, ["5", "7"])) == [5, 7]
    with pytest.raises(ValueError, match="missing: '6'; not known to it: '7'"):
        select_columns(frame, ["5", "6"])


def test_long_lists_of_names_are_cut():
    with pytest.raises(ValueError, match="'c7' and 92 more; missing"):
        select_columns(pd.DataFrame({"x": [1]}), [f"c{place}" for place in range(100)])


def test_labels_of_a_mapping_are_no_columns():
    assert list(select_columns({**COLUMNS, "label": [0, 1]}, ["age", "dose"])) == ["age", "dose"]
    assert list(select_columns({"label": [0, 1], "age": [0, 1]}, ["age", "label"])) == ["age", "label"]
    with pytest.raises(ValueError, match="not known to it: 'label'"):
        select_columns(pd.DataFrame({**COLUMNS, "label": [0, 1]}), ["age", "dose"])


def test_rows_become_what_they_are_rows_of():
    frame = pd.DataFrame({**COLUMNS, "town": ["Ulm", "Bonn"]})
    pd.testing.assert_frame_equal(stack_rows([frame.iloc[0], frame.iloc[1]]), frame)
    sparse = scipy.sparse.random_array((4, 3), density=0.5, format="csr", random_state=0)
    stacked = stack_rows([sparse[0], sparse[1]])
    np.testing.assert_array_equal(stacked.toarray(), sparse[:2].toarray())
    assert stacked.format == "csr"
    np.testing.assert_array_equal(stack_rows([{"age": 3}, {"age": 4}])["age"], COLUMNS["age"])


def test_sparse_matrices_are_cut_by_rows():
    sparse = scipy.sparse.coo_array(np.eye(3))
    labels = [0, 1, 2]
    inputs, kept = rowwise((sparse, labels))
    assert inputs.format == "csr"
    assert kept is labels
    table = pd.DataFrame(COLUMNS)
    assert rowwise(table) is table


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([3, None]),
        pd.Series([3, None], dtype="Int64"),
        pd.Series([3, None], dtype=object),
        pa.chunked_array([[3, None]]),
        pa.chunked_array([[3.0, None]]),
        [3, None],
        np.array([3, np.nan], np.float32),
    ],
    ids=lambda column: f"{type(column).__name__} {kind_of(column)}",
)
def test_missing_numbers_are_nan(column):
    numbers = numbers_of(column)
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, [3, np.nan])


@pytest.mark.parametrize("column", [pd.Series([True, None], dtype="boolean"), pa.chunked_array([[True, None]])])
def test_truth_values_are_numbers(column):
    np.testing.assert_array_equal(numbers_of(column), [1, np.nan])


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["Ulm", None]),
        pd.Series(["Ulm", None], dtype=object),
        pd.Series(["Ulm", None], dtype="string"),
        pd.Series(["Ulm", None], dtype="category"),
        pa.chunked_array([["Ulm", None]]),
        pa.chunked_array([pa.array(["Ulm", None]).dictionary_encode()]),
        ["Ulm", None],
    ],
    ids=lambda column: f"{type(column).__name__} {kind_of(column)}",
)
def test_texts_and_categories_are_no_numbers(column):
    assert numbers_of(column) is None
    assert values_of(column) == ["Ulm", None]


def test_categories_that_are_numbers_are_categories():
    column = pd.Series([7, 3, None], dtype="category")
    assert numbers_of(column) is None
    assert values_of(column) == [7, 3, None]
