"""Rankings: by every score, with what stands beside the samples, and as files."""

import csv
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from probly.data_generator import Distributions
from probly.data_generator.errors import AlignmentError
from probly_data_generator_evaluation import blocks, decompose, rank
from probly_data_generator_evaluation.ranking import MEMBER_SCORES
from tests.evaluation.numbers import some_members, some_rows

ROWS = Distributions([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [0.48, 0.47, 0.05]], [4, 6, 9], labels=[0, 1, 2])


@pytest.mark.parametrize(
    ("by", "indices", "scores"),
    [
        ("entropy", [4, 9, 6], entropy([[0.5, 0.3, 0.2], [0.48, 0.47, 0.05], [0.9, 0.1, 0.0]], axis=1)),
        ("margin", [9, 4, 6], [0.99, 0.8, 0.2]),
        ("confidence", [9, 4, 6], [0.52, 0.5, 0.1]),
        ("label", [9, 6, 4], -np.log([0.05, 0.1, 0.5])),
    ],
)
def test_scores_of_rows(by, indices, scores):
    found = rank(ROWS, by)
    assert found.indices.tolist() == indices
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    assert found.labels.tolist() == [[0, 1, 2][[4, 6, 9].index(index)] for index in indices]


@pytest.mark.parametrize("by", MEMBER_SCORES)
def test_scores_of_members(by, monkeypatch):
    members = some_members(0, 30, 4, 3)
    found = rank(members, by)
    scores = getattr(decompose(members), MEMBER_SCORES[by])
    assert found.scores.tolist() == sorted(scores, reverse=True)
    np.testing.assert_array_equal(scores[found.indices], found.scores)
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 40)
    held = SimpleNamespace(members=members, indices=np.arange(30) + 100, labels=np.arange(30))
    assert rank(held, by).labels.tolist() == found.indices.tolist()
    with pytest.raises(TypeError, match="have no members"):
        rank(ROWS, by)


def test_of_equal_scores_the_lower_index_comes_first():
    assert rank(np.full((50, 2), 0.5), count=3).indices.tolist() == [0, 1, 2]
    assert rank(Distributions(np.full((3, 2), 0.5), [9, 2, 5])).indices.tolist() == [2, 5, 9]


def test_rows_without_a_label_are_left_out():
    rows = Distributions(some_rows(1, 6, 3), labels=[0, -1, 2, None, 1, 1])
    assert sorted(rank(rows, "label").indices.tolist()) == [0, 2, 4, 5]
    named = Distributions(some_rows(1, 2, 2), labels=["dog", "cat"], meta={"class_names": ["cat", "dog"]})
    expected = -np.log([named[0][1], named[1][0]])
    np.testing.assert_allclose(sorted(rank(named, "label").scores), sorted(expected), atol=1e-6)
    with pytest.raises(ValueError, match="labels: expected one per row, got none"):
        rank(some_rows(1, 6, 3), "label")


def test_the_table_is_written(tmp_path):
    found = rank(ROWS, "margin", keys=["a.png", "b, c.png", "d.png"], labels=["x", None, "z"])
    assert next(iter(found)) == {"index": 9, "key": "d.png", "label": "z", "score": pytest.approx(0.99, abs=1e-6)}
    found.save(tmp_path / "next.csv")
    with (tmp_path / "next.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["index", "key", "label", "score"]
    assert lines[3][:3] == ["6", "b, c.png", ""]
    assert [float(line[3]) for line in lines[1:]] == found.scores.tolist()
    found.head(2).save(tmp_path / "next.parquet")
    frame = pd.read_parquet(tmp_path / "next.parquet")
    assert frame["key"].tolist() == ["d.png", "a.png"]
    assert frame["index"].tolist() == [9, 4]
    with pytest.raises(ValueError, match=r"ending in .csv or .parquet, got 'next.txt'"):
        found.save(tmp_path / "next.txt")


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"by: expected one of 'entropy', 'margin', .*, got 'loss'"):
        rank(ROWS, "loss")
    with pytest.raises(AlignmentError, match=r"sample_keys: expected one per row \(3\)"):
        rank(ROWS, keys=["a"])
