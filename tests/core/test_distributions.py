"""Distributions: a read-only mapping over one array."""

import pickle
import pydoc
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from probly.data_generator import AlignmentError, Distributions, InvalidOutputError

ROWS = [[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]]


def test_it_serves_where_a_dict_of_lists_did():
    distributions = Distributions(ROWS)
    assert isinstance(distributions, Mapping)
    assert dict(distributions).keys() == {0, 1, 2}
    assert [list(row) for row in distributions.values()] == ROWS
    assert [index for index, _ in distributions.items()] == [0, 1, 2]
    assert all(type(index) is int for index in distributions)
    assert distributions.get(7) is None
    assert distributions == {0: [0.25, 0.75], 1: [1.0, 0.0], 2: [0.5, 0.5]}
    assert distributions != {0: [0.25, 0.75]}
    assert distributions != Distributions(ROWS[::-1])
    assert distributions != 3


def test_one_array_without_copies():
    rows = np.asarray(ROWS, np.float32)
    rows.flags.writeable = False
    distributions = Distributions(rows)
    assert np.shares_memory(np.asarray(distributions), rows)
    assert np.shares_memory(distributions[1], rows)
    assert np.asarray(distributions, dtype=np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(distributions, copy=True), rows)


def test_it_is_read_only():
    distributions = Distributions(ROWS)
    with pytest.raises(ValueError, match="read-only"):
        distributions[0][0] = 1.0
    with pytest.raises(TypeError):
        distributions[0] = [0.5, 0.5]


def test_rows_are_sorted_by_index_with_their_labels():
    distributions = Distributions(ROWS, indices=[7, 2, 30], labels=["x", "y", "z"])
    assert distributions.indices.tolist() == [2, 7, 30]
    assert distributions.labels.tolist() == ["y", "x", "z"]
    assert distributions[7].tolist() == [0.25, 0.75]
    assert 7 in distributions
    assert 3 not in distributions
    assert "7" not in distributions
    np.testing.assert_array_equal(distributions.gather([30, 2, 30]), [[0.5, 0.5], [1, 0], [0.5, 0.5]])
    assert distributions.missing(4).tolist() == [0, 1, 3]


def test_a_slice_gives_the_rows_of_its_indices():
    counted, gaps = Distributions(ROWS), Distributions(ROWS, indices=[1, 2, 9])
    np.testing.assert_array_equal(counted[0:2], ROWS[:2])
    assert np.shares_memory(counted[0:2], counted.probabilities)
    np.testing.assert_array_equal(counted[::-1], ROWS[::-1])
    np.testing.assert_array_equal(counted[1:100], ROWS[1:])
    assert counted[5:7].shape == (0, 2)
    np.testing.assert_array_equal(gaps[1:3], ROWS[:2])
    np.testing.assert_array_equal(gaps[9:], ROWS[2:])
    with pytest.raises(KeyError, match="No distribution for index 3"):
        gaps[2:10]


def test_select_keeps_all_that_belongs_to_a_row():
    columns = {"logits": np.arange(6.0).reshape(3, 2)}
    whole = Distributions(ROWS, [4, 2, 9], list("abc"), {"name": "x"}, columns=columns, sample_keys=["4", "2", "9"])
    part = whole.select([9, 2])
    assert part.indices.tolist() == [2, 9]
    assert part.labels.tolist() == ["b", "c"]
    assert part.sample_keys.tolist() == ["2", "9"]
    assert part.columns["logits"].tolist() == [[2, 3], [4, 5]]
    assert part.meta == whole.meta
    np.testing.assert_array_equal(part.probabilities, [ROWS[1], ROWS[2]])
    assert len(whole.select([])) == 0
    assert whole.head(2).sample_keys.tolist() == ["2", "4"]
    for wrong, error in (
        ([3], KeyError),
        ([-1, -2, 2], KeyError),
        ([2, 2], AlignmentError),
        ([True, False], AlignmentError),
    ):
        with pytest.raises(error):
            whole.select(wrong)


def test_true_is_the_index_one_as_in_a_dictionary():
    np.testing.assert_array_equal(Distributions(ROWS)[True], ROWS[1])


@pytest.mark.parametrize("index", [3, -1, 10**9])
def test_missing_indices_raise(index):
    for distributions in (Distributions(ROWS), Distributions(ROWS, indices=[1, 4, 9])):
        with pytest.raises(KeyError, match=f"No distribution for index {index}"):
            distributions[index]
        with pytest.raises(KeyError, match=f"No distribution for index {index}"):
            distributions.gather([1, index])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([[0.5, 0.5], [0.5, 0.6]], "index 1 .*sums to 1.1"),
        ([[0.5, 0.5], [-0.5, 1.5]], "index 1 .*negative"),
        ([[np.nan, 0.5]], "index 0 .*not finite"),
        ([[np.inf, 0.5]], "index 0 .*not finite"),
        ([[1e300, 0.0]], "index 0 .*not finite"),
        ([0.5, 0.5], r"expected probabilities of shape \(samples, classes\), got \(2,\)"),
        ([[]], "no classes"),
    ],
)
def test_rows_that_are_no_distribution_are_refused(rows, says):
    with pytest.raises(InvalidOutputError, match=says):
        Distributions(rows)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"indices": [0, 1]}, "one index per row"),
        ({"indices": [0, 1, 1]}, "index 1 has more than one"),
        ({"indices": [-1, 0, 1]}, "at least 0, got -1"),
        ({"labels": [1]}, "one label per row"),
    ],
)
def test_indices_and_labels_must_fit(arguments, says):
    with pytest.raises(AlignmentError, match=says):
        Distributions(ROWS, **arguments)


def test_mappings_must_have_rows_of_one_length():
    with pytest.raises(InvalidOutputError, match=r"same number of classes, got \[1, 2\]"):
        Distributions.from_mapping({0: [1.0], 1: [0.5, 0.5]})
    with pytest.raises(TypeError, match=r"expected a mapping.*got list$"):
        Distributions.from_mapping(ROWS)
    with pytest.raises(TypeError, match=r"got str; generator\.load_distributions\(path\)\[0\] reads"):
        Distributions.from_mapping("teacher.fod")


def test_empty():
    for empty in (Distributions([]), Distributions.from_mapping({}), Distributions(np.empty((0, 5)))):
        assert len(empty) == 0
        assert list(empty) == []
        assert 0 not in empty
        with pytest.raises(KeyError, match="No distribution for index 0"):
            empty[0]


def test_pickling_keeps_everything():
    distributions = Distributions(ROWS, [3, 4, 9], [0, 1, 0], {"class_names": ["a", "b"]})
    copy = pickle.loads(pickle.dumps(distributions))
    assert copy == distributions
    assert copy.labels.tolist() == [0, 1, 0]
    assert copy.class_names == ["a", "b"]


def test_repr_is_short():
    assert (
        repr(Distributions(ROWS, meta={"backend": "torch"})) == "Distributions(3 samples x 2 classes, backend='torch')"
    )


@given(
    npst.arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 6)), elements=st.floats(2**-6, 1, width=32)),
    st.randoms(use_true_random=False),
)
def test_any_order_of_arrival_gives_the_same_mapping(scores, random):
    rows = scores / scores.sum(axis=1, keepdims=True)
    indices = random.sample(range(1000), len(rows))
    order = list(range(len(rows)))
    random.shuffle(order)
    straight = Distributions(rows, indices)
    shuffled = Distributions(rows[order], [indices[position] for position in order])
    assert straight == shuffled
    for position, index in enumerate(indices):
        np.testing.assert_array_equal(straight[index], rows[position])
        assert index in straight


def test_an_array_that_can_be_written_to_is_copied():
    rows, indices, labels = np.asarray(ROWS, np.float32), np.arange(3), np.arange(3)
    distributions = Distributions(rows, indices, labels)
    rows[:], indices[:], labels[:] = 7, 7, 7
    assert distributions == Distributions(ROWS)
    assert distributions.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("wrong", [[0.2, 1.7, 2.9], [True, False, True], ["0", "1", "2"]])
def test_only_integers_are_indices(wrong):
    """A float would be cut, and a mask would name the rows 0 and 1."""
    with pytest.raises(AlignmentError, match="expected integers as dataset indices"):
        Distributions(ROWS, indices=wrong)
    with pytest.raises(AlignmentError, match="expected integers as dataset indices"):
        Distributions(ROWS).gather(wrong)


@pytest.mark.parametrize("wrong", [0.9, True, "a", None, (0,)])
def test_only_integers_are_keys(wrong):
    with pytest.raises(AlignmentError, match="expected integers as keys"):
        Distributions.from_mapping({wrong: [1.0]})
    for distributions in (Distributions(ROWS), Distributions(ROWS, indices=[3, 4, 9])):
        if wrong is not True:
            with pytest.raises(KeyError, match="expected an integer"):
                distributions[wrong]
            assert distributions.get(wrong) is None


def test_the_tolerances_are_the_promised_ones():
    Distributions([[0.5, 0.50009]])
    with pytest.raises(InvalidOutputError):
        Distributions([[0.5, 0.50011]])
    np.testing.assert_array_equal(Distributions([[1.0, -0.0000009]]).probabilities, [[1, 0]])
    with pytest.raises(InvalidOutputError, match="negative"):
        Distributions([[1.000002, -0.000002]])


@pytest.mark.parametrize("tiny", [-1e-17, -1.2e-7, -9e-7])
def test_what_rounding_takes_below_0_becomes_0(tiny):
    assert Distributions([[1.0, tiny], [0.5, 0.5]]).probabilities.tolist() == [[1.0, 0.0], [0.5, 0.5]]


def test_rows_that_miss_1_a_little_are_divided_and_counted():
    given = np.float32([[0.25, 0.75], [0.25, 0.75009], [0.3, 0.69993], [0.5, 0.5000005]])
    found = Distributions(given, [3, 1, 2, 0], meta={"note": "x"})
    assert found.meta == {"note": "x", "normalised_rows": 2}
    np.testing.assert_allclose(found.probabilities.sum(axis=1, dtype=float), 1, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found[0], given[3])  # within rounding: as it was
    np.testing.assert_allclose(found[1], given[1].astype(float) / given[1].sum(dtype=float), rtol=0, atol=1e-7)
    assert given[1, 1] == np.float32(0.75009)
    again = Distributions(found.probabilities, found.indices, meta=found.meta)
    assert again.meta == found.meta
    np.testing.assert_array_equal(again.probabilities, found.probabilities)


def test_few_digits_miss_1_by_more():
    thirds = np.float16([[1 / 3] * 3] * 2)
    np.testing.assert_allclose(Distributions(thirds).probabilities, 1 / 3, rtol=0, atol=1e-6)
    assert Distributions(thirds).meta["normalised_rows"] == 2
    with pytest.raises(InvalidOutputError, match=r"index 0 .* it sums to 0\.99"):
        Distributions([[0.33] * 3])
    np.testing.assert_allclose(Distributions([[0.33] * 3], tolerance=0.02).probabilities, 1 / 3, rtol=0, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_astype64_sums_to_1_exactly_in_any_order(classes):
    random = np.random.default_rng(classes)
    rows = random.dirichlet(np.full(classes, 0.05), size=300).astype(np.float32)
    rows[0] = 0
    rows[0, -1] = 1
    rows[1] = 1e-30
    rows[1, 0] = 1
    found = Distributions(rows)
    exact = found.astype64()
    assert exact.dtype == np.float64
    assert all(sum(map(Fraction, row)) == 1 for row in exact[:20].tolist())
    for order in (slice(None), slice(None, None, -1), random.permutation(classes)):
        assert (exact[:, order].sum(axis=1) == 1).all()
    assert (np.cumsum(exact, axis=1)[:, -1] == 1).all()
    np.testing.assert_array_equal(exact > 0, found.probabilities > 0)
    np.testing.assert_allclose(exact, found.probabilities, rtol=0, atol=1e-6)
    for row in exact:
        random.multinomial(10, row)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (np.full((2, 3), 0.5), r"members are no array of the shape \(samples, members, 2\), but \(2, 3\)"),
        (np.full((2, 2, 3), 0.5), r"but \(2, 2, 3\)"),
        (np.full((2, 2, 2), np.nan), "index 0 is no distribution: member 0: it has a value that is not finite"),
        (np.array([[[0.5, 0.5]], [[0.3, 0.3]]]), "index 1 is no distribution: member 0: it sums to 0.6"),
    ],
)
def test_members_that_are_no_distributions_are_refused(members, message):
    with pytest.raises(InvalidOutputError, match=message):
        Distributions([[0.5, 0.5]] * 2, columns={"members": members})


def test_help_opens_with_words_and_not_with_types():
    text = pydoc.render_doc(Distributions, renderer=pydoc.plaintext)
    signature, words, _ = text.partition("One class distribution per sample")
    assert words
    assert len(signature) < 700  # Python 3.13 writes an argument to a line
    assert "numpy._typing" not in signature
