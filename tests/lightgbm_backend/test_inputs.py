"""What boosters are fed with: columns by name, categories by name, missing values as NaN."""

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse

from probly.data_generator import SimpleDataLoader
from tests.frameworks.lightgbm import SETTINGS, trained
from tests.lightgbm_backend.runs import BOOSTER, FRAME, IN_ULM, INPUTS, LABELS, ROWS, TOWNS, run

EXPECTED = BOOSTER.predict(FRAME).astype(np.float32)
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
    unnamed = trained(INPUTS, LABELS)
    np.testing.assert_array_equal(run(unnamed, FRAME).probabilities, EXPECTED)


def test_columns_that_are_called_as_if_they_had_no_names_are_known_by_them():
    numbered = FRAME.set_axis(["Column_0", "Column_1", "Column_2", "Column_3"], axis=1)
    for inputs in (numbered, INPUTS):
        model = trained(inputs, LABELS)
        shuffled = numbered.iloc[:, [3, 1, 0, 2]]
        np.testing.assert_array_equal(run(model, shuffled).probabilities, EXPECTED)


def test_what_a_sparse_matrix_leaves_out_is_zero():
    sparse = scipy.sparse.coo_array(np.nan_to_num(INPUTS))
    expected = BOOSTER.predict(sparse.toarray()).astype(np.float32)
    np.testing.assert_array_equal(run(BOOSTER, (sparse, LABELS)).probabilities, expected)


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (FRAME.drop(columns="age"), "missing: 'age'"),
        (FRAME.assign(more=1), "not known to it: 'more'"),
        (FRAME.rename(columns={"age": "Age"}), "missing: 'age'; not known to it: 'Age'"),
        (pd.DataFrame(INPUTS), "missing: 'age', 'dose', 'size', 'rest'; not known to it: '0', '1', '2', '3'"),
        (FRAME.assign(age="old"), "column 'age' holds str, and the booster was trained with numbers"),
        (
            FRAME.assign(age=pd.Categorical(["old"] * ROWS)),
            "column 'age' holds category, and the booster was trained with numbers",
        ),
        (INPUTS[:, :3], r"expected inputs of shape \(N, 4\).*got \(16, 3\)"),
        (np.c_[INPUTS, INPUTS], r"expected inputs of shape \(N, 4\).*got \(16, 8\)"),
        (INPUTS.astype(str), "expected inputs of numbers, got an array of <U"),
    ],
)
def test_other_inputs_are_refused_by_name(dataset, said):
    with pytest.raises(ValueError, match=said):
        run(BOOSTER, dataset)


def test_other_numbers_of_unnamed_columns_are_refused():
    with pytest.raises(ValueError, match="expected 4 columns, as many as the booster has features, got 3"):
        run(trained(INPUTS, LABELS), FRAME.drop(columns="age"))


def test_a_dataset_of_the_library_is_none():
    with pytest.raises(TypeError, match="got a Dataset; pass the array or the table"):
        run(BOOSTER, lightgbm.Dataset(FRAME))


def test_blanks_in_names_are_underscores_as_the_library_has_it():
    names = {"age": "the age", "dose": "dose (mg)"}
    booster = trained(FRAME.rename(columns=names), LABELS)
    assert booster.feature_name()[:2] == ["the_age", "dose_(mg)"]
    shuffled = FRAME[SHUFFLED].rename(columns=names)
    for table in (shuffled, pa.table(shuffled.reset_index(drop=True)), dict(shuffled.items())):
        np.testing.assert_array_equal(run(booster, table).probabilities, EXPECTED)
    with pytest.raises(ValueError, match=r"missing: 'the_age', .*; not known to it: 'age'"):
        run(booster, FRAME)


# Categories


@pytest.fixture(scope="module")
def towns():
    return trained(TOWNS, IN_ULM, "binary", rounds=20, cat_smooth=0.1, cat_l2=0.1)


OTHER_CODES = TOWNS.assign(town=TOWNS["town"].cat.set_categories(["Ulm", "Kiel", "Bonn", "Rome"]))


@pytest.mark.parametrize(
    "table",
    [
        TOWNS,
        OTHER_CODES[["rooms", "town", "size"]],
        TOWNS.assign(town=TOWNS["town"].astype(str)),
        pa.table(OTHER_CODES),
        TOWNS.assign(town=TOWNS["town"].cat.codes, rooms=TOWNS["rooms"].cat.codes).to_numpy(),
    ],
    ids=["frame", "other codes", "texts", "Arrow", "an array of codes"],
)
def test_categories_are_known_by_name(towns, table):
    expected = towns.predict(TOWNS)
    assert (
        np.abs(
            towns.predict(TOWNS.assign(town=TOWNS["town"].cat.rename_categories(["Kiel", "Ulm", "Bonn"]))) - expected
        ).max()
        > 0.05
    )
    np.testing.assert_array_equal(run(towns, table).probabilities[:, 1], expected.astype(np.float32))


@pytest.mark.parametrize("other", [None, "Rome"])
def test_a_category_that_was_never_seen_is_missing_as_the_library_has_it(towns, other):
    text = TOWNS["town"].astype(object).where(TOWNS.index % 3 > 0, other)
    table = TOWNS.assign(town=text.astype("category"))
    expected = towns.predict(table).astype(np.float32)
    np.testing.assert_array_equal(run(towns, table).probabilities[:, 1], expected)


@pytest.mark.parametrize("kind", [int, float])
def test_categories_that_are_numbers_may_come_as_numbers(towns, kind):
    """As of a CSV file."""
    table = TOWNS.assign(rooms=TOWNS["rooms"].astype(kind))
    expected = towns.predict(TOWNS).astype(np.float32)
    np.testing.assert_array_equal(run(towns, table).probabilities[:, 1], expected)
    with pytest.raises(ValueError, match=r"column 'rooms' holds numbers.*\(3, 4, 5\).*astype\('category'\)"):
        run(towns, table.assign(rooms=table["rooms"] + 1))
    unseen = TOWNS["town"].cat.rename_categories({"Kiel": "Rome"})
    with pytest.raises(
        ValueError,
        match=r"column 'town' holds 'Rome'.*or, as 'rooms' holds numbers, make .*astype",
    ):
        run(towns, table.assign(town=unseen))
    empty = unseen.cat.remove_categories("Rome")
    expected = towns.predict(TOWNS.assign(town=unseen)).astype(np.float32)
    np.testing.assert_array_equal(run(towns, table.assign(town=empty)).probabilities[:, 1], expected)


def test_numbers_that_may_be_codes_are_refused():
    table = TOWNS.assign(rooms=TOWNS["rooms"].cat.rename_categories({3: 1, 4: 2, 5: 3}))
    booster = trained(table, IN_ULM, "binary")
    with pytest.raises(ValueError, match=r"column 'rooms' holds numbers.*\(1, 2, 3\).*astype\('category'\)"):
        run(booster, table.assign(rooms=table["rooms"].astype(int)))


ORDERED = TOWNS.assign(town=TOWNS["town"].cat.as_ordered())


@pytest.mark.parametrize("settings", [{}, {"categorical_feature": ["rooms"]}], ids=["ordered", "left out"])
def test_categories_that_were_trained_on_as_numbers_are_known_by_name(settings):
    """LightGBM takes the codes of such a column for numbers, and puts its categories in their order, too."""
    table = TOWNS if settings else ORDERED
    data = lightgbm.Dataset(table, IN_ULM, **settings)
    booster = lightgbm.train({**SETTINGS, "objective": "binary"}, data, 20)
    expected = booster.predict(table).astype(np.float32)
    assert np.ptp(expected) > 0.2
    for one in (table, OTHER_CODES[["rooms", "town", "size"]], TOWNS.assign(town=TOWNS["town"].astype(str))):
        np.testing.assert_array_equal(run(booster, one).probabilities[:, 1], expected)
    codes = table.assign(town=table["town"].cat.codes)
    with pytest.raises(ValueError, match=r"2 columns of named categories, the table has 1.*among 'town', 'rooms', col"):
        run(booster, codes)


def test_categories_that_lightgbm_cannot_store_are_refused_and_the_shown_way_works():
    days = pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01"])
    table = TOWNS.assign(day=TOWNS["town"].cat.rename_categories(dict(zip(["Bonn", "Kiel", "Ulm"], days, strict=True))))
    booster = lightgbm.train(
        {**SETTINGS, "objective": "binary"}, lightgbm.Dataset(table, IN_ULM), 9, keep_training_booster=True
    )
    expected = booster.predict(table).astype(np.float32)
    with pytest.raises(ValueError, match="cannot store the booster, which has categories") as caught:
        run(booster, table)
    _, _, way = str(caught.value).partition("in the booster, ")
    exec(way.partition(", and in the table")[0], {"booster": booster})
    rows = run(booster, table.assign(day=table["day"].map(str)))
    np.testing.assert_array_equal(rows.probabilities[:, 1], expected)


def test_codes_beside_named_categories_are_taken_for_neither():
    """The codes of the rooms are no categories of the town, whose own codes LightGBM took for numbers."""
    table = ORDERED.assign(rooms=TOWNS["rooms"].astype(int))
    data = lightgbm.Dataset(table, IN_ULM, categorical_feature=["rooms"])
    booster = lightgbm.train({**SETTINGS, "objective": "binary"}, data, 9)
    expected = booster.predict(table).astype(np.float32)
    np.testing.assert_array_equal(run(booster, table).probabilities[:, 1], expected)
    with pytest.raises(ValueError, match=r"1 columns of named categories, the table has 0.*among 'town', columns"):
        run(booster, table.assign(town=table["town"].cat.codes))


def test_numbers_in_the_place_of_names_are_refused(towns):
    with pytest.raises(ValueError, match=r"column 'town' holds numbers.*\('Bonn', 'Kiel', 'Ulm'\); pass these names"):
        run(towns, TOWNS.assign(town=TOWNS["town"].cat.codes))
    with pytest.raises(ValueError, match=r"column 'size' holds category, and the booster was trained with numbers"):
        run(towns, TOWNS.assign(rooms=TOWNS["rooms"].astype(int), size=TOWNS["rooms"]))


def test_boosters_that_know_codes_alone_take_codes():
    codes = TOWNS.assign(town=TOWNS["town"].cat.codes, rooms=TOWNS["rooms"].cat.codes)
    data = lightgbm.Dataset(codes, IN_ULM, categorical_feature=["town", "rooms"])
    booster = lightgbm.train({**SETTINGS, "objective": "binary"}, data, 9)
    np.testing.assert_array_equal(run(booster, codes).probabilities[:, 1], booster.predict(codes).astype(np.float32))
    with pytest.raises(ValueError, match=r"column 'town' holds category.*codes that it was trained with"):
        run(booster, TOWNS)


def test_where_two_columns_may_have_had_the_names_both_are_named():
    """With the wrong one as a category, LightGBM would give other rows without a word."""
    random = np.random.default_rng(0)
    kinds, codes, target = random.choice([10, 20, 30], 300), random.choice([0, 1, 2], 300), random.choice([0, 1], 300)
    frame = pd.DataFrame({"kind": pd.Categorical(kinds, ordered=True), "code": codes})
    data = lightgbm.Dataset(frame, target, categorical_feature=["code"])
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, data, 3)
    with pytest.raises(ValueError, match=r"make those that had names, which are among 'kind', 'code', columns of cat"):
        run(booster, frame.assign(kind=kinds))
    found = run(booster, frame.assign(kind=pd.Categorical(kinds)))  # the one that had names
    np.testing.assert_allclose(found.probabilities[:, 1], booster.predict(frame), rtol=0, atol=1e-7)
