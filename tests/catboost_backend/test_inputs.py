"""What models are fed with: columns by name, categories and texts as CatBoost has them, missing values as NaN."""

import catboost
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse

from probly.data_generator import SimpleDataLoader
from tests.catboost_backend.runs import FRAME, IN_ULM, INPUTS, LABELS, MODEL, NAMES, ROWS, TOWNS, run
from tests.frameworks.catboost import fitted

EXPECTED = MODEL.predict_proba(FRAME).astype(np.float32)
SHUFFLED = ["rest", "size", "age", "dose"]


def agrees(dataset, **options):
    rows = run(MODEL, dataset, **options)
    np.testing.assert_array_equal(rows.indices, np.arange(ROWS))
    np.testing.assert_array_equal(rows.probabilities, EXPECTED)
    return rows


@pytest.mark.parametrize(
    "dataset",
    [
        FRAME,
        FRAME[SHUFFLED],
        pa.table(FRAME[SHUFFLED].reset_index(drop=True)),
        dict(FRAME[SHUFFLED].items()),
        FRAME[SHUFFLED].to_dict("records"),
        INPUTS,
        INPUTS.tolist(),
    ],
    ids=["frame", "another order", "Arrow", "a mapping of columns", "mappings", "array", "lists"],
)
def test_columns_are_matched_by_name_and_arrays_by_place(dataset):
    agrees(dataset)


def test_labels_and_indices_stay_with_their_rows():
    assert agrees((FRAME[SHUFFLED], NAMES)).labels.tolist() == NAMES.tolist()
    agrees(SimpleDataLoader((FRAME[SHUFFLED], NAMES), batch_size=16, shuffle=True, seed=0))
    agrees([(row, label) for (_, row), label in zip(FRAME[SHUFFLED].iterrows(), NAMES, strict=True)])
    agrees((FRAME.assign(key="?"), NAMES), input_getter=lambda pair: pair[0][SHUFFLED].astype(float))


def test_unnamed_columns_are_in_the_models_order():
    unnamed = fitted(INPUTS, NAMES)
    np.testing.assert_array_equal(run(unnamed, FRAME).probabilities, EXPECTED)
    numbered = FRAME.set_axis([5, 7, 6, 8], axis=1)
    model = fitted(numbered, NAMES)
    np.testing.assert_array_equal(run(model, numbered[[8, 7, 6, 5]]).probabilities, EXPECTED)


def test_columns_that_are_called_as_if_they_had_no_names_are_known_by_them():
    numbered = FRAME.set_axis(["0", "1", "2", "3"], axis=1)
    for inputs in (numbered, INPUTS):
        model = fitted(inputs, NAMES)
        shuffled = numbered.iloc[:, [3, 1, 0, 2]]
        np.testing.assert_array_equal(run(model, shuffled).probabilities, EXPECTED)


def test_what_a_sparse_matrix_leaves_out_is_zero():
    sparse = scipy.sparse.coo_array(np.nan_to_num(INPUTS))
    expected = MODEL.predict_proba(sparse.toarray()).astype(np.float32)
    np.testing.assert_array_equal(run(MODEL, (sparse, NAMES)).probabilities, expected)


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (FRAME.drop(columns="age"), "missing: 'age'"),
        (FRAME.assign(more=1), "not known to it: 'more'"),
        (FRAME.rename(columns={"age": "Age"}), "missing: 'age'; not known to it: 'Age'"),
        (FRAME.assign(age="old"), "CatBoost: Bad value for num_feature.*old"),
        (INPUTS[:, :3], r"expected inputs of shape \(N, 4\).*got \(16, 3\)"),
        (np.c_[INPUTS, INPUTS], r"expected inputs of shape \(N, 4\).*got \(16, 8\)"),
    ],
)
def test_other_inputs_are_refused_by_name(dataset, said):
    """CatBoost itself leaves out columns that it does not know where they stand behind the others."""
    with pytest.raises(ValueError, match=said):
        run(MODEL, dataset)


def test_a_pool_is_no_dataset():
    with pytest.raises(TypeError, match="got a Pool; pass the array or the table"):
        run(MODEL, catboost.Pool(FRAME))


# Categories and texts


@pytest.fixture(scope="module")
def towns():
    return fitted(TOWNS, IN_ULM, cat_features=["town", "rooms"])


@pytest.mark.parametrize(
    "dataset",
    [
        TOWNS,
        TOWNS[["rooms", "town", "size"]].astype({"town": "category", "rooms": str}),
        pa.table(TOWNS[["rooms", "town", "size"]]),
        TOWNS.to_numpy(object),
        TOWNS.to_numpy(object).tolist(),
        TOWNS.to_dict("records"),
        [row for _, row in TOWNS.iterrows()],
    ],
    ids=["frame", "categories", "Arrow", "array", "lists", "mappings", "rows"],
)
def test_categories_are_what_catboost_takes_for_some(towns, dataset):
    expected = towns.predict_proba(TOWNS)
    assert np.ptp(expected[:, 0]) > 0.2
    rows = run(towns, dataset)
    assert rows.class_names == ["no", "yes"]
    np.testing.assert_array_equal(rows.probabilities, expected.astype(np.float32))


def test_a_missing_category_is_catboosts_own_error(towns):
    with pytest.raises(ValueError, match=r"CatBoost: Invalid type for cat_feature.*NaN values should be converted"):
        run(towns, TOWNS.assign(town=TOWNS["town"].where(TOWNS.index > 3)))


def test_embeddings():
    vectors = [row.tolist() for row in np.nan_to_num(INPUTS)]
    table = pd.DataFrame({"size": INPUTS[:, 1], "vector": vectors})
    model = fitted(table, NAMES, embedding_features=["vector"])
    expected = model.predict_proba(table).astype(np.float32)
    assert np.ptp(expected) > 0.2
    columns = {"vector": vectors, "size": INPUTS[:, 1]}
    for dataset in (table, pl.DataFrame(columns), pa.table(columns)):
        np.testing.assert_array_equal(run(model, dataset).probabilities, expected)


def test_texts(tmp_path):
    table = pd.DataFrame({"said": np.array(["sun and rain", "wind", "no wind"], object)[LABELS], "size": INPUTS[:, 1]})
    model = fitted(table, NAMES, text_features=["said"])
    model.save_model(tmp_path / "texts.cbm")
    expected = model.predict_proba(table).astype(np.float32)
    for one in (model, tmp_path / "texts.cbm"):
        np.testing.assert_array_equal(run(one, table[["size", "said"]]).probabilities, expected)
