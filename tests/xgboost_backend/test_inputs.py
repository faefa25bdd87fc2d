"""What boosters are fed with: columns by name, categories by name, missing values as NaN."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import xgboost

from probly.data_generator import SimpleDataLoader
from tests.frameworks.xgboost import trained
from tests.xgboost_backend.runs import BOOSTER, FRAME, IN_ULM, INPUTS, LABELS, ROWS, TOWNS, binary, run

EXPECTED = BOOSTER.predict(xgboost.DMatrix(FRAME))
SHUFFLED = ["rest", "size", "age", "dose"]


def agrees(dataset, **options):
    rows = run(BOOSTER, dataset, **options)
    np.testing.assert_array_equal(rows.indices, np.arange(ROWS))
    np.testing.assert_array_equal(rows.probabilities, EXPECTED)
    return rows


@pytest.mark.parametrize(
    "table",
    [
        FRAME,
        FRAME[SHUFFLED],
        FRAME[SHUFFLED].astype("Float32"),
        pa.table(FRAME[SHUFFLED].reset_index(drop=True)),
        dict(FRAME[SHUFFLED].items()),
    ],
    ids=["frame", "another order", "missing values of pandas", "Arrow", "a mapping of columns"],
)
def test_columns_are_matched_by_name(table):
    agrees(table)


def test_labels_and_indices_stay_with_their_rows():
    names = np.array(["a", "b", "c"])[LABELS]
    rows = agrees((FRAME[SHUFFLED], names), class_names=["a", "b", "c"])
    assert rows.labels.tolist() == names.tolist()
    agrees(SimpleDataLoader((FRAME[SHUFFLED], LABELS), batch_size=16, shuffle=True, seed=0))
    agrees([(row, label) for (_, row), label in zip(FRAME[SHUFFLED].iterrows(), LABELS, strict=True)])
    agrees((FRAME.assign(key="?"), LABELS), input_getter=lambda pair: pair[0][SHUFFLED].astype(float))
    agrees(FRAME[SHUFFLED].to_dict("records"))


def test_arrays_and_unnamed_columns_are_in_the_boosters_order():
    agrees(INPUTS)
    agrees(INPUTS.astype(np.float64))
    unnamed = trained(INPUTS, LABELS)
    np.testing.assert_array_equal(run(unnamed, FRAME).probabilities, EXPECTED)


def test_names_that_look_made_up_are_names():
    numbered = FRAME.set_axis(["f0", "f1", "f2", "f3"], axis=1)
    booster = trained(numbered, LABELS)
    np.testing.assert_array_equal(run(booster, numbered[["f3", "f1", "f0", "f2"]]).probabilities, EXPECTED)
    with pytest.raises(ValueError, match="missing: 'f0', 'f1'"):
        run(booster, FRAME)


def test_what_a_sparse_matrix_leaves_out_is_missing():
    sparse = scipy.sparse.coo_array(np.nan_to_num(INPUTS))
    expected = BOOSTER.predict(xgboost.DMatrix(sparse.tocsr(), feature_names=BOOSTER.feature_names))
    np.testing.assert_array_equal(run(BOOSTER, (sparse, LABELS)).probabilities, expected)


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (FRAME.drop(columns="age"), "missing: 'age'"),
        (FRAME.assign(more=1), "not known to it: 'more'"),
        (FRAME.rename(columns={"age": "Age"}), "missing: 'age'; not known to it: 'Age'"),
        (pd.DataFrame(INPUTS), "missing: 'age', 'dose', 'size', 'rest'; not known to it: '0', '1', '2', '3'"),
        (FRAME.assign(age="old"), "column 'age' holds str, and the booster knows no names"),
        (
            FRAME.assign(age=pd.Categorical(["old"] * ROWS)),
            "column 'age' holds category, and the booster knows no names",
        ),
        (INPUTS[:, :3], r"expected inputs of shape \(N, 4\).*got \(16, 3\)"),
        (np.c_[INPUTS, INPUTS], r"expected inputs of shape \(N, 4\).*got \(16, 8\)"),
        (INPUTS.astype(str), "expected inputs of numbers, got an array of <U"),
    ],
)
def test_other_inputs_are_refused_by_name(dataset, said):
    with pytest.raises(ValueError, match=said):
        run(BOOSTER, dataset)


@pytest.mark.parametrize("number", [np.inf, -np.inf, 1e300])
def test_numbers_that_are_too_large_are_refused_by_their_place(number):
    table = FRAME.astype(float)
    table.iloc[18, 2] = number
    sparse = scipy.sparse.csr_matrix(np.nan_to_num(table.to_numpy(), nan=1, posinf=np.inf, neginf=-np.inf))
    said = rf"^row 2 of the batch has {re.escape(str(number))} in column 'size'.*NaN where"
    for dataset in (table, table.to_numpy(), sparse):
        with pytest.raises(ValueError, match=said):
            run(BOOSTER, dataset)
    with pytest.raises(ValueError, match=r"in column 2: expected"):
        run(trained(INPUTS, LABELS), table.to_numpy())


def test_other_numbers_of_unnamed_columns_are_refused():
    with pytest.raises(ValueError, match="expected 4 columns, as many as the booster has features, got 3"):
        run(trained(INPUTS, LABELS), FRAME.drop(columns="age"))


def test_a_dmatrix_is_no_dataset():
    with pytest.raises(TypeError, match="got a DMatrix; pass the array or the table"):
        run(BOOSTER, xgboost.DMatrix(FRAME))


# Categories


@pytest.fixture(scope="module")
def towns():
    return binary(inputs=TOWNS, labels=IN_ULM, max_cat_to_onehot=1)


OTHER_CODES = TOWNS.assign(town=TOWNS["town"].cat.set_categories(["Ulm", "Kiel", "Bonn", "Rome"]))


@pytest.mark.parametrize(
    "table",
    [
        TOWNS,
        OTHER_CODES[["rooms", "town", "size"]],
        TOWNS.assign(town=TOWNS["town"].astype(str)),
        pa.table(OTHER_CODES),
    ],
    ids=["frame", "other codes", "texts", "Arrow"],
)
def test_categories_are_known_by_name(towns, table):
    expected = towns.predict(xgboost.DMatrix(TOWNS, enable_categorical=True))
    np.testing.assert_array_equal(run(towns, table).probabilities[:, 1], expected)


def test_a_missing_category_is_missing(towns):
    table = TOWNS.assign(town=TOWNS["town"].where(TOWNS.index % 3 > 0))
    expected = towns.predict(xgboost.DMatrix(table, enable_categorical=True))
    np.testing.assert_array_equal(run(towns, table).probabilities[:, 1], expected)


def test_a_category_that_was_never_seen_is_refused(towns):
    """XGBoost itself reads another one in its place, whose code it has in this table."""
    table = TOWNS.assign(town=TOWNS["town"].cat.rename_categories({"Kiel": "Rome"}))
    with pytest.raises(ValueError, match=r"column 'town' holds 'Rome', which is none of.*'Bonn', 'Kiel', 'Ulm'"):
        run(towns, table)


@pytest.mark.parametrize("kind", [int, float])
def test_categories_that_are_numbers_may_come_as_numbers(towns, kind):
    """As of a CSV file."""
    expected = towns.predict(xgboost.DMatrix(TOWNS, enable_categorical=True))
    table = TOWNS.assign(rooms=TOWNS["rooms"].astype(kind))
    np.testing.assert_array_equal(run(towns, table).probabilities[:, 1], expected)
    with pytest.raises(ValueError, match=r"column 'rooms' holds 6.*none of the categories.*\(3, 4, 5\)"):
        run(towns, table.assign(rooms=table["rooms"] + 1))


def test_numbers_that_may_be_codes_are_refused(towns):
    table = TOWNS.assign(rooms=TOWNS["rooms"].cat.rename_categories({3: 1, 4: 2, 5: 3}))
    booster = binary(inputs=table, labels=IN_ULM, max_cat_to_onehot=1)
    with pytest.raises(ValueError, match=r"column 'rooms' holds numbers.*\(1, 2, 3\).*astype\('category'\)"):
        run(booster, table.assign(rooms=table["rooms"].astype(int)))
    with pytest.raises(ValueError, match=r"column 'town' holds numbers.*\('Bonn', 'Kiel', 'Ulm'\); pass these names"):
        run(towns, TOWNS.assign(town=TOWNS["town"].cat.codes))
    codes = TOWNS.assign(rooms=TOWNS["rooms"].cat.rename_categories({3: 0, 4: 1, 5: 2}))
    booster = binary(inputs=codes, labels=IN_ULM, max_cat_to_onehot=1)
    expected = booster.predict(xgboost.DMatrix(codes, enable_categorical=True))
    table = codes.assign(rooms=codes["rooms"].astype(int))
    np.testing.assert_array_equal(run(booster, table).probabilities[:, 1], expected)


def test_a_batch_without_any_value_of_a_category_is_missing_there(towns):
    table = TOWNS.assign(town=TOWNS["town"].astype(object).where(TOWNS.index > 20, None))
    expected = towns.predict(xgboost.DMatrix(table.astype({"town": "category"}), enable_categorical=True))
    np.testing.assert_array_equal(run(towns, table).probabilities[:, 1], expected)


def test_boosters_that_know_codes_alone_take_codes():
    codes = TOWNS.assign(town=TOWNS["town"].cat.codes, rooms=TOWNS["rooms"].cat.codes)
    data = xgboost.DMatrix(codes, IN_ULM, feature_types=["float", "c", "c"], enable_categorical=True)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 3)
    np.testing.assert_array_equal(run(booster, codes).probabilities[:, 1], booster.predict(data))
    with pytest.raises(ValueError, match=r"column 'town' holds category.*codes of those days"):
        run(booster, TOWNS)
