"""Labels drawn from distributions: right, and the same whoever draws them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probly.data_generator import Distributions
from probly_data_generator_evaluation import blocks, sample_labels, sampling
from probly_data_generator_evaluation.philox import draws
from tests.evaluation.numbers import some_rows


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**63 - 1), st.integers(1, 12), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_the_draws_are_those_of_numpys_philox(seed, index, count, blocks_before):
    start = 4 * blocks_before
    key, counter = np.array([seed, 0], np.uint64), np.array([0, index, 0, 0], np.uint64)
    theirs = np.random.Generator(np.random.Philox(key=key, counter=counter)).random(start + count)
    np.testing.assert_array_equal(draws(seed, [index], start, count)[0] * 2.0**-53, theirs[start:])


def test_the_labels_are_those_of_a_search_in_the_cumulated_row():
    rows = some_rows(0, 300, 9)
    for index, labels in enumerate(sample_labels(rows, n=7, seed=5)):
        drawn = np.random.Generator(np.random.Philox(key=5, counter=[0, index, 0, 0])).random(7)
        edges = np.cumsum(rows[index])
        assert labels.tolist() == np.searchsorted(edges / edges[-1], drawn, side="right").tolist()


def test_they_do_not_depend_on_order_blocks_or_company(monkeypatch):
    rows, indices = some_rows(1, 500, 6).astype(np.float32), np.random.default_rng(0).permutation(2000)[:500]
    whole = sample_labels(Distributions(rows, indices), n=10, seed=3)
    ascending = np.sort(indices)
    order = np.argsort(indices)
    for place in (0, 17, 499):
        alone = sample_labels({int(ascending[place]): rows[order[place]]}, n=10, seed=3)
        assert alone.tolist() == whole[[place]].tolist()
    assert sample_labels(Distributions(rows, indices), n=3, seed=3).tolist() == whole[:, :3].tolist()
    counts = sample_labels(Distributions(rows, indices), n=10, seed=3, counts=True)
    assert counts.tolist() == [np.bincount(labels, minlength=6).tolist() for labels in whole]
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 40)
    monkeypatch.setattr(sampling, "NUMBERS_AT_ONCE", 40)
    assert sample_labels(Distributions(rows, indices), n=10, seed=3).tolist() == whole.tolist()
    assert sample_labels(Distributions(rows, indices), n=10, seed=3, counts=True).tolist() == counts.tolist()
    assert sample_labels(Distributions(rows, indices), n=10, seed=4).tolist() != whole.tolist()


def test_another_process_draws_the_same():
    code = (
        "import numpy as np; from probly_data_generator_evaluation import sample_labels;"
        "print(sample_labels(np.full((5, 4), 0.25), n=6, seed=9).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sample_labels(np.full((5, 4), 0.25), n=6, seed=9).tolist())


def test_what_has_probability_0_is_never_drawn_and_what_has_1_always():
    rows = np.array([[0, 1, 0, 0], [0, 0.5, 0, 0.5], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    counts = sample_labels(rows, n=10_000, seed=0, counts=True)
    assert (counts[rows == 0] == 0).all()
    assert (counts[rows == 1] == 10_000).all()


def test_the_mean_squared_miss_is_that_of_counts():
    """E |p^ - p|^2 = sum p (1 - p) / m, and E p^ = p."""
    votes, row = 10, np.array([0.6, 0.3, 0.1])
    found = sample_labels(np.broadcast_to(row, (20_000, 3)), n=votes, seed=2, counts=True) / votes
    squared = ((found - row) ** 2).sum(axis=1)
    assert squared.mean() == pytest.approx((row * (1 - row)).sum() / votes, abs=4 * squared.std() / np.sqrt(20_000))
    np.testing.assert_allclose(found.mean(axis=0), row, atol=4 * 0.5 / np.sqrt(20_000 * votes))


def test_many_labels_of_one_row_and_out(tmp_path):
    counts = sample_labels([[0.25, 0.75]], n=300_001, seed=1, counts=True)
    assert counts.sum() == 300_001
    assert abs(counts[0, 0] / 300_001 - 0.25) < 0.005
    labels = sample_labels(np.array([[0.25, 0.75]]), n=300_001, seed=1)
    assert np.bincount(labels[0]).tolist() == counts[0].tolist()
    out = np.lib.format.open_memmap(tmp_path / "counts.npy", "w+", np.uint16, (3, 2))
    assert sample_labels(np.full((3, 2), 0.5), n=60_000, counts=True, out=out) is out
    assert out.sum(axis=1).tolist() == [60_000] * 3
    assert out.tolist() == sample_labels(np.full((3, 2), 0.5), n=60_000, counts=True).tolist()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n": 0}, "n: expected how many labels"),
        ({"n": 2.0}, "n: expected how many labels"),
        ({"seed": -1}, "seed: expected a whole number from 0"),
        ({"seed": 2**64}, "seed: expected a whole number from 0"),
        ({"n": 300, "counts": True, "out": np.zeros((1, 2), np.uint8)}, "out: expected integers up to 300"),
        ({"n": 3, "out": np.zeros((1, 2), np.int64)}, r"of the shape \(1, 3\), got int64 of the shape \(1, 2\)"),
    ],
)
def test_arguments_out_of_their_domain(arguments, says):
    with pytest.raises(ValueError, match=says):
        sample_labels(np.array([[0.5, 0.5]]), **arguments)
