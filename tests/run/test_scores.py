"""What a model returned becomes rows in one place: modes, shapes, precision, and what is refused."""

import numpy as np
import pytest
import scipy.sparse

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError
from probly.data_generator.rows import check_rows
from probly.data_generator.run.scores import ScoreReader, check_scores, is_half
from probly.data_generator.testing import reference

LOGITS = reference.samples(rows=20, shape=(3,))[0]


def generator(model=lambda batch: batch, **options):
    return FirstOrderDataGenerator(model, **{"backend": "numpy", **options})


def test_pure_python_models():
    model = lambda batch: [[float(row[0]), 0.0] for row in batch]  # noqa: E731
    distributions = generator(model, output_mode="logits").generate_distributions([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(distributions.probabilities, reference.softmax([[1, 0], [3, 0]]), atol=1e-6)


def test_pure_python_scores_are_binary():
    distributions = generator(lambda batch: [0.25] * len(batch)).generate_distributions([1, 2])
    np.testing.assert_array_equal(distributions.probabilities, [[0.75, 0.25]] * 2)


@pytest.mark.parametrize("answer", [[[1.0], [1.0, 2.0]], [{"a": 1}, {"b": 2}], "text", object()])
def test_other_answers_are_refused_with_the_way_out(answer):
    with pytest.raises(TypeError, match=r"Model must return"):
        generator(lambda batch: answer).generate_distributions([1, 2])


def test_a_relu_output_is_no_distribution_and_says_so():
    with pytest.raises(InvalidOutputError, match='set output_mode="logits"'):
        generator(output_mode="probs").generate_distributions(np.maximum(LOGITS, 0))


def test_a_single_number_is_no_row():
    with pytest.raises(InvalidOutputError, match=r"expected 20 rows, got 0 \(shape \(\)\)"):
        generator(lambda batch: batch.mean(), output_mode="logits").generate_distributions(LOGITS)


@pytest.mark.parametrize("damage", ["zero", "rounded", "scaled"])
def test_auto_does_not_take_careless_probabilities_for_logits(damage):
    rows = reference.softmax(LOGITS)
    if damage == "zero":
        rows[4] = 0
    rows = rows.round(2) if damage == "rounded" else rows * (1.0005 if damage == "scaled" else 1)
    with pytest.raises(InvalidOutputError, match=r"index \d+: most rows of the first batch look like probabilities"):
        generator().generate_distributions(rows)


@pytest.mark.parametrize("labels", [np.array([0, 1, 1]), np.array([[0], [1], [1]]), np.array([True, False, True])])
@pytest.mark.parametrize("output_mode", ["auto", "logits", "probs"])
def test_class_labels_are_no_scores(labels, output_mode):
    with pytest.raises(TypeError, match=r"looks like class labels.*predict_proba, not predict"):
        generator(lambda batch: labels, output_mode=output_mode).generate_distributions(LOGITS[:3])


def test_text_is_no_score():
    with pytest.raises(TypeError, match="an array of real numbers, got ndarray"):
        generator(output_transform=lambda rows: np.array([["a", "b"]] * len(rows))).generate_distributions(LOGITS)


def test_the_whole_batch_decides_whether_logits_were_probabilities():
    logits = 5 * LOGITS.copy()
    logits[10:12] = [0.2, 0.3, 0.5]  # two rows that look like probabilities, among logits
    distributions = generator(batch_size=10).generate_distributions(logits)
    np.testing.assert_allclose(distributions.probabilities, reference.softmax(logits), atol=1e-6)


@pytest.mark.parametrize("output_mode", ["auto", "logits", "probs"])
@pytest.mark.parametrize("shape", [(0, 3), (0,)])
def test_no_scores_become_no_rows(output_mode, shape):
    assert generator(output_mode=output_mode).to_probs(np.empty(shape, np.float32)).shape[0] == 0


@pytest.mark.parametrize("dtype", [np.complex64, "datetime64[s]", "timedelta64[s]", "U9", [("a", "f4"), ("b", "f4")]])
@pytest.mark.parametrize("output_mode", ["auto", "logits", "probs"])
def test_what_are_no_real_numbers_is_refused(dtype, output_mode):
    model = generator(lambda batch: np.zeros((len(batch), 3), dtype), output_mode=output_mode)
    with pytest.raises(
        TypeError,
        match=r"must return an array of real numbers, got ndarray of shape \(20, 3\) and dtype .*output_transform",
    ):
        model.generate_distributions(LOGITS)


@pytest.mark.parametrize("output_mode", ["auto", "logits", "probs"])
@pytest.mark.parametrize("wrap", [lambda matrix: matrix, lambda matrix: {"logits": matrix}])
def test_a_sparse_matrix_is_refused_with_the_way_out(wrap, output_mode):
    model = generator(lambda batch: wrap(scipy.sparse.csr_array(batch)), output_mode=output_mode)
    with pytest.raises(
        TypeError, match=r"an array of real numbers, got csr_array of shape \(20, 3\); return its toarray\(\)"
    ):
        model.generate_distributions(LOGITS)


def read(scores, mode="auto", *, half=False, temperature=None):
    """Return the rows of one batch, and the mode that was decided."""
    reader = ScoreReader(mode, temperature)
    rows = reader.read(scores, "batch 0", np.arange(len(scores)), half=half)
    rows = rows.astype(np.float64 if rows.dtype == np.float64 else np.float32)
    reader.to_rows(rows)
    return check_rows(rows, reader.tolerance).rows, reader.mode


def test_auto_decides_from_the_first_batch():
    assert read(LOGITS)[1] == "logits"
    rows, mode = read(reference.softmax(LOGITS))
    assert mode == "probs"
    np.testing.assert_array_equal(rows, reference.softmax(LOGITS))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_logits_become_their_softmax(dtype):
    logits = (10 * LOGITS).astype(dtype)
    np.testing.assert_allclose(read(logits, "logits")[0], reference.softmax(logits), rtol=0, atol=2e-7)


def test_float64_loses_nothing_before_the_end():
    logits = 1e6 + 5 * LOGITS.astype(np.float64)
    np.testing.assert_allclose(read(logits, "logits")[0], reference.softmax(logits), rtol=0, atol=1e-15)


def test_large_logits_do_not_overflow():
    np.testing.assert_array_equal(read(np.float32([[1e38, -1e38, 0.0]]), "logits")[0], [[1.0, 0.0, 0.0]])


@pytest.mark.parametrize("shape", [(20,), (20, 1)])
@pytest.mark.parametrize("mode", ["auto", "logits"])
def test_a_single_logit_is_that_of_the_second_class(shape, mode):
    logits = (3 + 2 * LOGITS[:, 0]).reshape(shape)  # some are no probabilities
    second = 1 / (1 + np.exp(-logits.reshape(-1).astype(float)))
    rows, found = read(logits, mode)
    assert found == "logits"
    np.testing.assert_allclose(rows, np.stack([1 - second, second], axis=1), rtol=0, atol=2e-7)


@pytest.mark.parametrize("shape", [(20,), (20, 1)])
@pytest.mark.parametrize("mode", ["auto", "probs"])
def test_a_single_probability_is_that_of_the_second_class(shape, mode):
    second = np.linspace(0, 1, 20).reshape(shape)
    rows, found = read(second, mode)
    assert found == "probs"
    np.testing.assert_array_equal(rows, np.stack([1 - second.reshape(-1), second.reshape(-1)], axis=1))


def test_half_precision_is_divided_by_its_sum_and_a_larger_miss_stays():
    rounded = reference.bfloat16(reference.softmax(np.random.default_rng(0).normal(size=(50, 10))))
    assert np.abs(rounded.sum(axis=1) - 1).max() > 1e-4
    rows, mode = read(rounded, half=True)
    assert mode == "probs"
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=0, atol=1e-6)
    off = rounded * np.float32(1.05)
    assert ScoreReader("probs", half=True).finish(off).bad
    assert np.abs(read(off, "probs", half=True)[0].sum(axis=1) - 1).min() > 0.03


@pytest.mark.parametrize("name", ["float16", "bfloat16", "torch.bfloat16", "float8_e4m3fn", "dtypes.half"])
def test_half_precision_is_told_by_name(name):
    assert is_half(name)
    assert not is_half("float32")


@pytest.mark.parametrize("later", [reference.softmax(LOGITS[:5]), np.linspace(0, 1, 5)])
def test_probabilities_after_logits_are_refused(later):
    reader = ScoreReader("auto")
    reader.read(5 * LOGITS if later.ndim == 2 else 9 * LOGITS[:, 0], "batch 0", np.arange(20), half=False)
    with pytest.raises(InvalidOutputError, match="batch 7: its outputs are probabilities, but those of the first"):
        reader.read(later, "batch 7", np.arange(5), half=False)
    reader.read(later[:1], "batch 8", np.arange(1), half=False)  # one row may look so by chance


def test_what_was_said_is_not_doubted():
    reader = ScoreReader("logits")
    reader.read(LOGITS, "batch 0", np.arange(20), half=False)
    reader.read(reference.softmax(LOGITS), "batch 1", np.arange(20), half=False)


@pytest.mark.parametrize("temperature", [None, 2.0])
@pytest.mark.parametrize("scores", [reference.softmax(LOGITS), np.linspace(0, 1, 20), np.float32([[1, -5e-7], [0, 1]])])
def test_a_softmax_of_probabilities_is_warned_of_once(scores, temperature):
    reader = ScoreReader("logits", temperature)
    with pytest.warns(UserWarning, match=r'batch 0: output_mode="logits", but .* probabilities already.*"probs"'):
        reader.read(scores, "batch 0", np.arange(len(scores)), half=False)
    reader.read(scores, "batch 1", np.arange(len(scores)), half=False)


def test_a_few_logits_within_0_and_1_are_not_warned_of():
    ScoreReader("logits").read(np.float32([0.2, 0.9]), "batch 0", np.arange(2), half=False)
    ScoreReader("logits").read(np.empty((0, 3), np.float32), "batch 0", np.arange(0), half=False)
    ScoreReader("auto", known="logits").read(reference.softmax(LOGITS), "batch 0", np.arange(20), half=False)


LABELS = np.arange(20) % 7


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("values", [LABELS, LABELS[:, None], LABELS % 2])
def test_class_labels_are_refused_whatever_their_dtype(values, dtype):
    with pytest.raises(TypeError, match=rf"batch 0: .* of dtype {np.dtype(dtype)}.* looks like class labels.*_proba"):
        read(values.astype(dtype))


def test_the_ways_out_of_whole_scores_work():
    votes = np.int64([[3, 7], [10, 0]])
    with pytest.raises(TypeError, match='say which: output_mode="logits" or "probs"'):
        read(votes)
    np.testing.assert_allclose(read(votes, "logits")[0], reference.softmax(votes), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(read(np.float32([0, 1]), "probs")[0], [[1, 0], [0, 1]])
    np.testing.assert_array_equal(read(np.eye(3, dtype=int))[0], np.eye(3))  # whole, and distributions
    assert read(np.float32([[3, 7], [10, 1]]))[1] == "logits"
    np.testing.assert_array_equal(read(np.zeros((2, 4), np.float32))[0], np.full((2, 4), 0.25))  # not trained yet
    assert read(np.float32([[1024, 1025]]), half=True)[1] == "logits"  # of 16 bits, all large numbers are whole


@pytest.mark.parametrize("total", [5, 10.0, 100, 255.0])
def test_shares_of_a_common_sum_are_refused_with_ways_out_that_work(total):
    shares = np.float32([[0.5, 0.3, 0.2], [0.1, 0.9, 0], [0.25, 0.25, 0.5]])
    scores = np.float32(shares * total)
    with pytest.raises(InvalidOutputError, match=rf"every row sums to {total:g},.*output_transform.*output_mode"):
        read(scores)
    advised = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(read(advised)[0], shares, rtol=0, atol=1e-6)
    np.testing.assert_allclose(read(scores, "logits")[0], reference.softmax(scores), rtol=0, atol=1e-6)


@pytest.mark.parametrize("scores", [[[2, 1], [0, 5]], [[2, 1], [2, 1]], [[-1, 4], [2, 1]], [[4, 5]]])
def test_scores_that_only_look_like_shares_are_logits(scores):
    assert read(np.float32(scores))[1] == "logits"


INDEPENDENT = np.float32([[0.9, 0.8, 0.1], [0.2, 0.1, 0.05]])


@pytest.mark.parametrize("known", [None, "probs"])
def test_independent_scores_are_refused_with_ways_out_that_work(known):
    with pytest.raises(InvalidOutputError, match=r"index 0: .*independent scores.*output_transform") as told:
        ScoreReader("auto", known=known).read(INDEPENDENT, "batch 0", np.arange(2), half=False)
    assert ('output_mode="logits"' in str(told.value)) == (known is None)
    for transform in (lambda p: p / p.sum(axis=1, keepdims=True), lambda p: np.stack([1 - p[:, 0], p[:, 0]], axis=1)):
        made = generator(lambda batch: INDEPENDENT, output_transform=transform)
        np.testing.assert_allclose(made.generate_distributions([[1], [2]]).probabilities, transform(INDEPENDENT))
    np.testing.assert_allclose(read(INDEPENDENT, "logits")[0], reference.softmax(INDEPENDENT), rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["auto", "probs"])
@pytest.mark.parametrize("known", [None, "probs"])
def test_a_row_of_zeros_is_named_as_what_it_is(mode, known):
    rows = reference.softmax(LOGITS)
    rows[3] = 0
    reader = ScoreReader(mode, known=known)
    if mode == "auto":
        with pytest.raises(InvalidOutputError, match=r"index 3: .* it sums to 0, .*no class got any probability"):
            reader.read(rows, "batch 0", np.arange(20), half=False)
    else:
        assert "no class got any probability" in reader.remedy(rows[3])
        assert ("logits" in reader.remedy(rows[3])) == (known is None)


def test_rounding_below_0_is_no_reason_to_refuse_a_model():
    rows = reference.softmax(LOGITS)
    rows[0] = [1.0, -1.2e-7, 0]
    found, mode = read(rows)
    assert mode == "probs"
    np.testing.assert_array_equal(found, np.maximum(rows, 0))
    second = np.float32([1.0000001, 0.3, -1e-7])
    np.testing.assert_allclose(read(second, "probs")[0][:, 1], [1, 0.3, 0], rtol=0, atol=2e-7)
    rows[0] = [1.0, -1.2e-5, 0]
    with pytest.raises(InvalidOutputError, match=r"index 0: .*negative entry.*p\.clip\(0\)"):
        generator().generate_distributions(np.float32(rows[:1]), progress=False)


def test_rows_that_miss_1_a_little_are_divided_by_their_sum_and_counted():
    rows = np.tile(np.float32([[0.25, 0.75]]), (20, 1))
    rows[[2, 11, 12]] = np.float32([[0.25, 0.75005]])
    found = generator(batch_size=4).generate_distributions(rows, progress=False)
    assert found.meta["normalised_rows"] == 3
    np.testing.assert_allclose(found.probabilities.sum(axis=1, dtype=float), 1, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(found.probabilities[[0, 1, 3]], rows[[0, 1, 3]])
    assert "normalised_rows" not in generator(batch_size=4).generate_distributions(rows[:2], progress=False).meta
    np.testing.assert_array_equal(rows[2], np.float32([0.25, 0.75005]))  # the model's own stay as they are


def test_a_temperature_divides_logits_and_refuses_probabilities():
    np.testing.assert_allclose(read(LOGITS, temperature=2.0)[0], reference.softmax(LOGITS / 2), rtol=0, atol=2e-7)
    with pytest.raises(InvalidOutputError, match="a temperature needs logits"):
        read(reference.softmax(LOGITS), temperature=2.0)


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        (np.zeros((4, 3)), r"expected 5 rows, got 4 \(shape \(4, 3\)\)"),
        (np.float32(3), r"expected 5 rows, got 0 \(shape \(\)\)"),
        (np.zeros((5, 2, 3)), r"expected the shape \(rows, classes\), got \(5, 2, 3\)"),
        (np.zeros((5, 0)), r"expected a column per class, got the shape \(5, 0\)"),
    ],
)
def test_shapes_are_checked(scores, says):
    with pytest.raises(InvalidOutputError, match=f"batch 0: {says}"):
        check_scores(scores, 5, "batch 0")


def test_a_transform_must_return_a_column_for_each_class():
    transformed = generator(output_transform=lambda rows: rows[:, 0])
    with pytest.raises(InvalidOutputError, match="let output_transform return a column for each of the two classes"):
        transformed.generate_distributions(LOGITS)


def test_to_probs_is_what_a_run_does():
    made = generator()
    np.testing.assert_allclose(made.to_probs(LOGITS), reference.softmax(LOGITS), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(made.to_probs(np.float32([[0.25, 0.75]])), np.float32([[0.25, 0.75]]))
    assert made.to_probs(LOGITS).dtype == np.float32
    halved = generator(output_transform=lambda outputs: outputs / 2).to_probs(LOGITS)
    np.testing.assert_array_equal(halved, LOGITS / 2)
