"""compare(): its numbers against closed forms, its matching of rows, its memory."""

import json
import tracemalloc

import numpy as np
import pytest

from probly.data_generator import Distributions
from probly.data_generator.comparison import compare, kl_divergences
from probly.data_generator.store import open_store, save
from probly_data_generator_report import comparison

RANDOM = np.random.default_rng(0)
P, Q = RANDOM.dirichlet(np.ones(5), (2, 301)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(comparison, "NUMBERS_AT_ONCE", 70)


def test_every_number_is_that_of_its_formula():
    found = compare(Distributions(P), Distributions(Q))
    p, q = P.astype(float), Q.astype(float)
    differences, variation = np.abs(p - q), np.abs(p - q).sum(axis=1) / 2
    divergence = (p * np.log(p / q)).sum(axis=1)
    row, column = np.unravel_index(differences.argmax(), differences.shape)
    assert found["difference"]["largest"] == pytest.approx(differences.max(), rel=1e-6)
    assert (found["difference"]["index"], found["difference"]["class"]) == (row, column)
    assert found["difference"]["mean"] == pytest.approx(differences.mean(), rel=1e-6)
    assert found["total_variation"]["mean"] == pytest.approx(variation.mean(), rel=1e-6)
    assert found["total_variation"]["largest"] == pytest.approx(variation.max(), rel=1e-6)
    assert found["total_variation"]["index"] == variation.argmax()
    assert found["kl_divergence"]["mean"] == pytest.approx(divergence.mean(), abs=1e-6)
    assert found["kl_divergence"]["largest"] == pytest.approx(divergence.max(), abs=1e-6)
    assert found["kl_divergence"]["index"] == divergence.argmax()
    assert found["top1_agreement"] == np.mean(p.argmax(axis=1) == q.argmax(axis=1))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_every_class_has_its_own_numbers():
    names = ["a", "b", "c", "d", "e"]
    found = compare(Distributions(P, meta={"class_names": names}), Distributions(Q))["per_class"]
    assert [entry["name"] for entry in found] == names
    for column, entry in enumerate(found):
        assert entry["class"] == column
        assert entry["mean_first"] == pytest.approx(P[:, column].mean(dtype=float))
        assert entry["mean_second"] == pytest.approx(Q[:, column].mean(dtype=float))
        difference = np.abs(P - Q)[:, column]
        assert entry["mean_difference"] == pytest.approx(difference.mean(dtype=float))
        assert entry["largest_difference"] == difference.max()
        mine, theirs = P.argmax(axis=1) == column, Q.argmax(axis=1) == column
        assert (entry["top1_first"], entry["top1_second"]) == (mine.sum(), theirs.sum())
        assert entry["top1_agreement"] == pytest.approx((mine & theirs).sum() / mine.sum())


def test_rows_are_matched_by_index_not_by_place():
    order = RANDOM.permutation(301)
    found = compare(Distributions(P, np.arange(301) * 3), Distributions(P[order], order * 3))
    assert found["identical"]
    assert found["rows"] == {"both": 301, "only_first": 0, "only_second": 0}
    shifted = compare(Distributions(P), Distributions(P, np.arange(301) + 1))
    assert shifted["rows"] == {"both": 300, "only_first": 1, "only_second": 1}
    assert not shifted["identical"]
    assert shifted["total_variation"]["mean"] > 0.1
    gaps = compare(Distributions(P), Distributions(P[::2], np.arange(301)[::2]))
    assert gaps["rows"] == {"both": 151, "only_first": 150, "only_second": 0}
    assert gaps["difference"]["largest"] == 0
    assert not gaps["identical"]


def test_the_place_of_the_largest_difference_is_its_dataset_index():
    other = P.copy()
    other[200] = other[200][::-1]
    found = compare(Distributions(P, np.arange(301) * 7), Distributions(other, np.arange(301) * 7))
    assert found["difference"]["index"] == found["total_variation"]["index"] == found["kl_divergence"]["index"] == 1400


def test_zeros_do_not_make_the_divergence_infinite():
    p, q = np.float32([[1, 0], [0.5, 0.5], [0, 1]]), np.float32([[1, 0], [1, 0], [1, 0]])
    tiny = np.finfo(np.float32).tiny
    expected = [0, 0.5 * np.log(0.5 / 1) + 0.5 * np.log(0.5 / tiny), np.log(1 / tiny)]
    np.testing.assert_allclose(kl_divergences(p, q), expected, rtol=1e-6)


@pytest.mark.parametrize("factor", [1 - 1e-6, 1 + 1e-6])
def test_the_rounding_of_sums_is_no_divergence(factor):
    divergences = kl_divergences(P, P * np.float32(factor))
    assert divergences.min() >= 0
    assert divergences.max() < 1e-11


def test_nothing_in_common_gives_no_numbers():
    found = compare({0: [0.5, 0.5]}, {1: [0.5, 0.5]})
    assert found["rows"] == {"both": 0, "only_first": 1, "only_second": 1}
    assert found["difference"] == {"largest": None, "index": None, "class": None, "mean": None}
    assert found["top1_agreement"] is None
    assert found["per_class"] == []
    assert compare({}, {})["identical"]


def test_other_columns_are_refused():
    with pytest.raises(ValueError, match="expected as many classes in both, got 2 and 3"):
        compare({0: [0.5, 0.5]}, {0: [0.5, 0.5, 0.0]})
    first = Distributions([[0.5, 0.5]], meta={"class_names": ["cat", "dog"]})
    second = Distributions([[0.5, 0.5]], meta={"class_names": ["dog", "cat"]})
    with pytest.raises(ValueError, match="column 0 is 'cat' in the first and 'dog' in the second"):
        compare(first, second)


def test_stores_are_compared_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "NUMBERS_AT_ONCE", 1 << 15)
    rows = RANDOM.dirichlet(np.ones(50), 40_000).astype(np.float32)
    for name in ("a", "b"):
        save(tmp_path / f"{name}.fod", Distributions(rows))
    first, second = (open_store(tmp_path / f"{name}.fod") for name in ("a", "b"))
    tracemalloc.start()
    assert compare(first, second)["identical"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < rows.nbytes / 2


def test_columns_beside_the_rows_are_compared():
    rows, members = P[:40], np.stack([P[:40], P[40:80]], axis=1)
    other = members.copy()
    other[7, 1] = other[7, 0]
    logits = np.log(members)
    logits[3, 0, 0] = -np.inf
    texts = np.array(["a"] * 40)
    first = Distributions(rows, columns={"members": members, "logits": logits, "text": texts, "mine": texts})
    second = Distributions(rows, columns={"members": other, "logits": logits, "text": texts, "fold": np.arange(40)})
    found = compare(first, second)["columns"]
    largest = float(np.abs(members.astype(float) - other).max())
    assert found == {"members": largest, "logits": 0.0, "text": None, "mine": None, "fold": None}
    finite = Distributions(rows, columns={"logits": np.maximum(logits, -1e3)})
    assert compare(first, finite)["columns"]["logits"] > 1e300  # and JSON knows the number
    assert compare(first, Distributions(rows[::-1][:5], np.arange(40)[::-1][:5]))["columns"]["members"] is None
    part = Distributions(rows[30:], np.arange(30, 40), columns={"members": members[30:]})
    assert compare(first, part)["columns"]["members"] == 0
