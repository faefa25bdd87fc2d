"""Tables of any library: which values are some, and that rows, columns and digests are read by position and name."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from probly.data_generator import AlignmentError
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.generator import FirstOrderDataGenerator
from probly.data_generator.run.identity import describe_dataset
from probly.data_generator.toolkit.arrays import own_copies
from probly.data_generator.toolkit.nests import columns
from probly.data_generator.toolkit.tables import (
    array_of_column,
    column_names,
    column_of,
    declared_columns,
    is_column,
    is_table,
    take_table_rows,
)


class Series:
    """A column that looks like one of Polars'."""

    def __init__(self, values):
        self.held = np.asarray(values)
        self.dtype, self.shape = "i64", self.held.shape

    def __arrow_c_stream__(self, schema=None):
        raise AssertionError("nobody has to export it")

    def __array__(self, dtype=None, copy=None):
        return self.held

    def __len__(self):
        return len(self.held)

    def __getitem__(self, rows):
        return self.held[rows]


class Frame:
    """A table that looks like one of Polars': columns by name, rows by position, no `take`, `clone` for a copy."""

    def __init__(self, values):
        self.held = {name: np.asarray(column) for name, column in values.items()}
        self.columns = list(values)

    @property
    def shape(self):
        return len(self.held[self.columns[0]]), len(self.columns)

    def __arrow_c_stream__(self, schema=None):
        raise AssertionError("nobody has to export it")

    def __array__(self, dtype=None, copy=None):
        return np.stack(list(self.held.values()), axis=1)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        if isinstance(key, int):
            raise TypeError("an integer is taken as a row by some, as a column by others")
        return self.held[key] if isinstance(key, str) else Frame({n: v[key] for n, v in self.held.items()})

    def slice(self, offset, length):
        return self[offset : offset + length]

    def to_series(self, place):
        return Series(self.held[self.columns[place]])

    def clone(self):
        return Frame({name: column.copy() for name, column in self.held.items()})


VALUES = {"b": [0.25, 0.5, 0.75, 1.0, 0.0], "a": [0.75, 0.5, 0.25, 0.0, 1.0]}
MAKERS = {
    "pandas": lambda values: pd.DataFrame(values, index=[4, 3, 2, 1, 0]),
    "arrow": pa.table,
    "record batch": lambda values: pa.RecordBatch.from_pydict({k: pa.array(v) for k, v in values.items()}),
    "polars": Frame,
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def test_rows_and_columns_are_taken_by_position(make):
    table = make(VALUES)
    assert is_table(table)
    assert not is_column(table)
    assert column_names(table) == ["b", "a"]
    np.testing.assert_array_equal(array_of_column(column_of(table, 1)), VALUES["a"])
    for rows, expected in [
        (slice(1, 3), [0.5, 0.75]),
        (slice(4, 9), [0.0]),
        (slice(3, 1), []),
        (slice(0, 5, 2), [0.25, 0.75, 0.0]),
        (np.array([3, 0]), [1.0, 0.25]),
    ]:
        part = take_table_rows(table, rows)
        assert type(part) is type(table)
        np.testing.assert_array_equal(array_of_column(column_of(part, 0)), expected)
    assert dict(take_table_rows(table, 2)) == {"b": 0.75, "a": 0.25}


def test_a_model_gets_tables_of_the_same_kind(make):
    kinds = []

    def model(table):
        kinds.append((type(table), table.shape))
        return np.stack([np.asarray(table["a"]), np.asarray(table["b"])], axis=1)

    table = make(VALUES)
    generator = FirstOrderDataGenerator(model, batch_size=2, backend="numpy")
    for dataset in (table, (table, [1, 0, 1, 0, 1])):
        found = generator.generate_distributions(dataset, progress=False)
        np.testing.assert_allclose(found.probabilities, np.stack([VALUES["a"], VALUES["b"]], axis=1), atol=1e-7)
        assert kinds == [(type(table), (rows, 2)) for rows in (2, 2, 1)]
        kinds.clear()


def test_a_getter_gets_rows_by_name(make):
    generator = FirstOrderDataGenerator(
        lambda rows: np.stack([rows, 1 - rows], axis=1), input_getter=lambda row: row["a"], backend="numpy"
    )
    found = generator.generate_distributions(make(VALUES), progress=False)
    np.testing.assert_allclose(found.probabilities[:, 0], VALUES["a"], atol=1e-7)


@pytest.mark.parametrize("column", [pa.array([0, 1, 1]), pa.chunked_array([[0, 1], [1]]), Series([0, 1, 1])])
def test_columns_of_arrow_are_labels_and_inputs(column):
    assert is_column(column)
    inputs, labels = columns((np.zeros((3, 2)), column))
    assert inputs.shape == (3, 2)
    assert labels.tolist() == [0, 1, 1]
    assert columns(column).tolist() == [0, 1, 1]


def test_a_column_of_lists_of_one_length_is_a_matrix():
    assert array_of_column(pa.array([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert array_of_column(pa.array([[1.0], [3.0, 4.0]])).shape == (2,)


def test_another_value_name_or_order_is_another_dataset(make):
    backend = load_backend(find_backend("numpy"))

    def described(values):
        return describe_dataset(make(values), backend)

    first = described(VALUES)
    assert first == described(VALUES)
    assert "not read" not in str(first)
    changed = {**VALUES, "a": [0.75, 0.5, 0.25, 0.0, 0.5]}
    others = [changed, {"a": VALUES["a"], "b": VALUES["b"]}, {"b": VALUES["b"], "c": VALUES["a"]}]
    assert all(described(other) != first for other in others)


def test_a_model_that_writes_changes_nothing_of_others():
    frame = Frame(VALUES)
    own_copies(frame).held["a"][:] = 0
    assert frame.held["a"].tolist() == VALUES["a"]
    table = pa.table(VALUES)
    assert own_copies(table) is table


def test_what_is_no_table_stays_what_it_is():
    assert not any(map(is_table, [np.zeros((2, 2)), {"a": 1}, [1], None, "text"]))
    assert not any(map(is_column, [np.zeros(2), pd.Series([1]), [1], None, "text"]))


class Raising:
    @property
    def feature_names_in_(self):
        raise RuntimeError("not fitted")


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({"feature_names_in_": np.array(["a", "b"], object)}, ["a", "b"]),
        ({"feature_names_in_": np.array(["0", "1"], object)}, ["0", "1"]),
        ({"feature_names_in_": ["Column_0", "Column_1"]}, None),
        ({"feature_names_": ["a", "b"]}, ["a", "b"]),
        ({"feature_names_": ["0", "1"]}, None),
        ({"feature_name_": ["Column_0", "a"]}, ["Column_0", "a"]),
        ({"feature_names": ["f0", "f1"]}, None),
        ({"feature_names": None}, None),
        ({"feature_names": [0, 1]}, None),
        ({"feature_names_in_": []}, None),
        ({}, None),
    ],
)
def test_columns_that_a_model_declares(attributes, found):
    model = type("Model", (), attributes | {"predict_proba": lambda self, rows: rows})()
    assert declared_columns(model) == found
    assert declared_columns(model.predict_proba) == found


def test_a_model_that_cannot_say_its_columns_declares_none():
    assert declared_columns(Raising()) is None
    assert declared_columns(lambda rows: rows) is None


@pytest.mark.parametrize("backend", ["numpy", "sklearn", "torch", "jax"])
def test_tables_whose_rows_are_named_alike_in_another_order_are_no_pair(backend):
    frame = pd.DataFrame({"a": [0.1, 0.2, 0.3], "b": [0.9, 0.8, 0.7]}, index=[4, 7, 2])
    labels = pd.Series([0, 1, 0], index=[7, 2, 4])
    found = load_backend(find_backend(backend))
    model = type("Loaded", (), {"num_workers": 0, "parts": []})()

    def batches(dataset):
        nothing = dict.fromkeys(("input_getter", "index_getter", "label_getter", "batched", "stop"))
        return list(found.hook.iterate_batches(dataset=dataset, batch_size=2, model=model, start=0, **nothing))

    with pytest.raises(AlignmentError, match=r"same index in another order.*labels\.loc\[inputs\.index\]"):
        batches((frame, labels))
    for right in (labels.loc[frame.index], labels.reset_index(drop=True)):
        [first, second] = batches((frame, right))
        np.testing.assert_array_equal([*first.columns["labels"], *second.columns["labels"]], right)
