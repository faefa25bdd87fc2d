"""Merged runs: those of a cross-validation bit by bit, and what is refused."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from probly.data_generator import Distributions, FirstOrderDataGenerator
from probly.data_generator.errors import AlignmentError
from probly.data_generator.store import open_store
from probly_data_generator_evaluation import blocks, merge
from tests.evaluation.numbers import some_members, some_rows


def test_folds_are_those_of_cross_val_predict(tmp_path):
    inputs, labels = load_iris(return_X_y=True)
    splitter, parts, tests = StratifiedKFold(3, shuffle=True, random_state=0), [], []
    for number, (train, test) in enumerate(splitter.split(inputs, labels)):
        model = LogisticRegression(max_iter=500).fit(inputs[train], labels[train])
        generator = FirstOrderDataGenerator(model, batch_size=len(test))
        store = tmp_path / f"fold{number}.fod"
        generator.generate_distributions((inputs[test], labels[test]), out=store, progress=False)
        parts.append(open_store(store))
        tests.append(test)
    found = merge(parts, indices=tests, length=len(inputs))
    expected = cross_val_predict(LogisticRegression(max_iter=500), inputs, labels, cv=splitter, method="predict_proba")
    np.testing.assert_array_equal(np.asarray(found), expected.astype(np.float32))
    np.testing.assert_array_equal(found.labels, labels)
    for number, test in enumerate(tests):
        assert np.flatnonzero(found.columns["fold"] == number).tolist() == test.tolist()


def test_shares_of_one_run(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 10)
    rows = some_rows(0, 20, 3).astype(np.float32)
    meta = {"class_names": ["a", "b", "c"], "backend": "numpy"}
    members = some_members(1, 20, 2, 3, np.float32)
    odd, even = slice(1, None, 2), slice(None, None, 2)
    columns = [{"members": members[odd], "logits": rows[odd]}, {"members": members[even]}]
    parts = [
        Distributions(rows[odd], np.arange(20)[odd], ["x"] * 10, {**meta, "took": 1}, columns=columns[0]),
        Distributions(rows[even], np.arange(20)[even], None, {**meta, "took": 2}, columns=columns[1]),
    ]
    out = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, (20, 3))
    found = merge(parts, out=out)
    np.testing.assert_array_equal(out, Distributions(rows))
    np.testing.assert_array_equal(found.columns["members"], members)
    assert found.columns.keys() == {"members", "fold"}
    assert found.columns["fold"].tolist() == [1, 0] * 10
    assert found.labels.tolist() == [None, "x"] * 10
    assert found.meta == {**meta, "merged_runs": 2}


@pytest.mark.parametrize("keys", [(["b", "d"], ["a"]), ([7, 5], [2**40])])
def test_sample_keys_go_along_where_all_runs_have_some(keys):
    rows = [[0.5, 0.5], [0.25, 0.75]]
    first, second = (Distributions(rows[: len(own)], sample_keys=own) for own in keys)
    found = merge([first, second], indices=[[0, 2], [1]])
    assert found.sample_keys.tolist() == [keys[0][0], keys[1][0], keys[0][1]]
    assert merge([first, Distributions(rows[:1])], indices=[[0, 2], [1]]).sample_keys is None
    with pytest.raises(ValueError, match="sample keys of the runs are of different kinds"):
        merge([first, Distributions(rows[:1], sample_keys=[[3], ["x"]][keys[0][0] == 7])], indices=[[0, 2], [1]])


HALF = [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("parts", "arguments", "error", "says"),
    [
        ([], {}, ValueError, "parts: expected at least one run"),
        ([{0: HALF[0]}, {0: HALF[0]}], {}, AlignmentError, "index 0 is in run 0 and in run 1; runs on subsets count"),
        ([{0: HALF[0]}, {2: HALF[0]}], {}, AlignmentError, r"no run has a row for index 1 \(1 of 3 have none\)"),
        ([{0: HALF[0]}, {1: HALF[0]}], {"length": 4}, AlignmentError, r"for index 2 \(2 of 4 have none\)"),
        ([{0: HALF[0]}, {1: HALF[0]}], {"length": 1}, AlignmentError, "expected indices from 0 to 0, got 1"),
        ([{0: HALF[0]}], {"indices": [[0], [1]]}, AlignmentError, r"those of each run \(1\), got 2"),
        ([{0: HALF[0]}], {"indices": [[0, 1]]}, AlignmentError, "each of the 1 rows of run 0, got 2"),
        ([{0: HALF[0]}, {1: [0.5, 0.25, 0.25]}], {}, ValueError, "run 1 has the classes 3, run 0 has 2"),
        ([{0: HALF[0]}], {"out": np.zeros((2, 2), np.float32)}, ValueError, "out: expected float32 of the shape"),
        (
            [Distributions(HALF, [0], ["x"]), Distributions(HALF, [1], [3])],
            {},
            ValueError,
            "labels of the runs are of different kinds",
        ),
        (
            [Distributions(HALF, [index], columns={"features": [[0.0] * (2 + index)]}) for index in (0, 1)],
            {},
            ValueError,
            r"'features' is float64 of the shape \(2,\) per row in run 0, and float64 of \(3,\) in run 1",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(parts, arguments, error, says):
    with pytest.raises(error, match=says):
        merge(parts, **arguments)
