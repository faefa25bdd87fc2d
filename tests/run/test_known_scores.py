"""A backend may know what its scores are whatever their values: then nobody guesses, nor takes them otherwise."""

import numpy as np
import pytest

from probly.data_generator import InvalidOutputError
from probly.data_generator.run.scores import ScoreReader
from probly.data_generator.testing import reference

LOGITS = reference.samples(rows=8, shape=(3,))[0]
ROWS = reference.softmax(LOGITS).astype(np.float32)


def rows_of(reader, scores):
    return reader.finish(reader.read(scores, "batch 0", np.arange(len(scores)), half=False).copy()).rows


@pytest.mark.parametrize("mode", ["auto", "logits"])
def test_known_logits_are_never_taken_for_probabilities(mode):
    reader = ScoreReader(mode, known="logits")
    for scores in (ROWS, LOGITS, ROWS):
        np.testing.assert_allclose(rows_of(reader, scores), reference.softmax(scores), rtol=0, atol=1e-6)
    assert reader.mode == "logits"


@pytest.mark.parametrize("mode", ["auto", "probs"])
def test_known_probabilities_are_never_put_through_a_softmax(mode):
    reader = ScoreReader(mode, known="probs")
    np.testing.assert_array_equal(rows_of(reader, ROWS), ROWS)
    assert reader.mode == "probs"
    for row in ([0.9, 0.9, 0.9], [0, 0, 0], [5, -3, 0], [0.5, 0.51, -1e-3], [np.nan, 0, 1]):
        assert "logits" not in reader.remedy(np.float32(row)), "which would be refused"
    if mode == "auto":
        independent = np.full((8, 3), 0.9, np.float32)
        message = r"batch 0, index 0: .* a row of the first batch is no distribution, it sums to 2.7.*; set output_tran"
        with pytest.raises(InvalidOutputError, match=message):
            rows_of(ScoreReader(mode, known="probs"), independent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "logits", "known": "probs"}, r'probabilities, not logits; set output_mode="probs" or output_tran'),
        ({"mode": "probs", "known": "logits"}, r'logits, not probabilities; set output_mode="logits" or output_tran'),
        (
            {"mode": "auto", "known": "probs", "temperature": 2.0},
            "a temperature needs logits, but the model returns",
        ),
    ],
)
def test_the_other_mode_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ScoreReader(**options)


def test_a_column_is_the_only_class_where_the_model_knows_one():
    ones = np.ones((4, 1), np.float32)
    np.testing.assert_array_equal(rows_of(ScoreReader("auto", one_class=True), ones), ones)
    np.testing.assert_array_equal(rows_of(ScoreReader("probs"), ones), np.repeat([[0, 1]], 4, axis=0))
    with pytest.raises(TypeError, match="looks like class labels"):
        rows_of(ScoreReader("auto"), ones)
