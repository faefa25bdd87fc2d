"""What every evaluation reads: rows, members, their errors, and what belongs together."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from probly.data_generator import Distributions
from probly.data_generator.errors import AlignmentError, InvalidOutputError
from probly.data_generator.store import open_store, save
from probly_data_generator_evaluation import ProbabilityIntervals, blocks, decompose
from probly_data_generator_evaluation.blocks import each_block, members_of, paired, rows_of
from tests.evaluation.numbers import some_members, some_rows

ALL = slice(None)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_are_float64_and_sum_to_one(dtype):
    rows = some_rows(0, 20, 7).astype(dtype)
    read = rows_of(rows).read(ALL)
    assert read.dtype == np.float64
    np.testing.assert_allclose(read.sum(axis=1), 1, rtol=1e-15)
    np.testing.assert_allclose(read, rows.astype(float) / rows.astype(float).sum(axis=1, keepdims=True), rtol=1e-15)
    np.testing.assert_array_equal(rows_of(rows).exactly(ALL), rows)


def test_a_store_and_a_memory_map_are_read_block_by_block(tmp_path):
    rows = some_rows(1, 50, 4).astype(np.float32)
    save(tmp_path / "a.fod", Distributions(rows, np.arange(50) * 2))
    stored = rows_of(open_store(tmp_path / "a.fod"))
    assert stored.indices.tolist() == list(range(0, 100, 2))
    np.testing.assert_array_equal(stored.exactly(slice(10, 20)), Distributions(rows).gather(range(10, 20)))
    np.save(tmp_path / "a.npy", rows)
    mapped = rows_of(np.load(tmp_path / "a.npy", mmap_mode="r"))
    np.testing.assert_array_equal(mapped.exactly(slice(10, 20)), rows[10:20])


def test_members_are_arrays_or_what_holds_them():
    values = some_members(0, 6, 3, 4, np.float32)
    assert members_of(values).members == 3
    held = SimpleNamespace(members=values, indices=np.arange(6) + 10)
    assert members_of(held).indices.tolist() == [10, 11, 12, 13, 14, 15]
    with pytest.raises(AlignmentError, match=r"one sample per index \(5\), got 6"):
        members_of(SimpleNamespace(members=values, indices=np.arange(5)))


def test_members_of_distributions_and_of_a_store_are_read_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 40)
    values = some_members(1, 30, 3, 4, np.float32)
    kept = Distributions(values.mean(axis=1), np.arange(30) + 7, columns={"members": values})
    save(tmp_path / "a.fod", kept)
    expected = decompose(values)
    for source in (kept, open_store(tmp_path / "a.fod")):
        assert members_of(source).indices.tolist() == list(range(7, 37))
        np.testing.assert_array_equal(decompose(source).epistemic, expected.epistemic)
        assert ProbabilityIntervals(source).covers(source).all()


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        (np.zeros((2, 3), np.int64), TypeError, "expected probabilities as float16, float32 or float64, got int64"),
        (np.zeros(3), ValueError, r"expected the shape \(samples, classes\), got \(3,\)"),
        (np.zeros((2, 3, 4)), ValueError, r"these are members, whose mean is members.mean\(axis=1\)"),
    ],
)
def test_what_is_no_source_of_rows_is_refused(source, error, says):
    with pytest.raises(error, match=says):
        rows_of(source)


class Tensor:
    """An array of a library whose dtypes are not those of NumPy, as PyTorch's."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, f"library.{values.dtype}"

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def test_arrays_of_other_libraries_are_read():
    rows, members = some_rows(0, 4, 3), some_members(0, 4, 2, 3)
    np.testing.assert_array_equal(rows_of(Tensor(rows)).read(ALL), rows_of(rows).read(ALL))
    np.testing.assert_array_equal(members_of(Tensor(members)).read(ALL), members_of(members).read(ALL))
    with pytest.raises(TypeError, match="expected probabilities as float16, float32 or float64, got int64"):
        rows_of(Tensor(np.zeros((2, 3), np.int64)))


def test_what_is_no_source_of_members_is_refused():
    with pytest.raises(TypeError, match="have no members, only their mean"):
        members_of(Distributions([[0.5, 0.5]]))
    for shape in ((2, 3), (2, 0, 3)):
        with pytest.raises(ValueError, match=r"expected the shape \(samples, members, classes\)"):
            members_of(np.zeros(shape))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ([0.5, 0.6], "sums to 1.1, not to 1"),
        ([1.5, -0.5], "negative entry, -0.5"),
        ([np.nan, 1.0], "not finite, nan"),
        ([3.0, 7.0], r"counts of votes are HumanVotes\(counts\)"),
    ],
)
def test_a_bad_row_is_named_by_its_place(row, says, monkeypatch):
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 4)
    rows = np.full((9, 2), 0.5)
    rows[7] = row
    source = rows_of(rows)
    with pytest.raises(InvalidOutputError, match=rf"the row of index 7 is no distribution: .*{says}"):
        list(each_block(source.read, 9, 2))
    members = np.full((3, 4, 2), 0.5)
    members[2, 1] = row
    with pytest.raises(InvalidOutputError, match="the row of index 2, member 1, is no distribution"):
        members_of(members).read(ALL)


def test_rows_are_matched_by_index_or_by_place():
    rows, truth = some_rows(2, 4, 3), some_rows(3, 6, 3)
    first = rows_of(Distributions(rows, [3, 5, 8, 9]))
    second = rows_of(Distributions(truth, [9, 8, 5, 3, 1, 0]))
    np.testing.assert_allclose(paired(first, second, "truth").read(ALL), truth[[3, 2, 1, 0]], atol=1e-6)
    assert paired(first, rows_of(truth[:4]), "truth").read(ALL).tolist() == truth[:4].tolist()
    with pytest.raises(AlignmentError, match=r"truth: nothing for index 8 \(2 of 4 have none\)"):
        paired(first, rows_of(Distributions(truth[:2], [3, 5])), "truth")
    with pytest.raises(AlignmentError, match=r"truth: expected 4 rows, .* got 6"):
        paired(first, rows_of(truth), "truth")
    with pytest.raises(ValueError, match="truth: expected 3 classes, as the rows have, got 2"):
        paired(first, rows_of(truth[:4, :2] / truth[:4, :2].sum(axis=1, keepdims=True)), "truth")


def test_blocks_come_in_order_and_an_error_stops_them(monkeypatch):
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 10)
    parts = list(each_block(lambda part: part, 97, 3))
    assert [part.start for part in parts] == list(range(0, 97, 3))
    assert parts[-1].stop == 97
    called, lock = [], threading.Lock()

    def fails(part):
        with lock:
            called.append(part.start)
        if part.start == 9:
            raise ValueError("the fourth block")

    with pytest.raises(ValueError, match="the fourth block"):
        list(each_block(fails, 3000, 3))
    assert len(called) < 40


def test_no_rows_make_no_blocks():
    assert list(each_block(lambda part: part, 0, 3)) == []
