"""The part of the suite that feeds a backend models which break a rule; each must be noticed."""

from typing import Any

import numpy as np
import pytest

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.testing import reference
from probly.data_generator.testing.capabilities import needs
from probly.data_generator.testing.outputs import probabilities
from probly.data_generator.testing.suite import Suite


class MisuseChecks(Suite):
    """What the generator and the backend refuse together."""

    def _refused(self, match: str, rows: Any, output_mode: str = "probs") -> None:
        with pytest.raises(InvalidOutputError, match=match):
            self.run(self.identity(rows), rows, output_mode=output_mode, batch_size=4)

    def test_a_wrong_row_count_is_refused(self) -> None:
        rows = probabilities()
        with pytest.raises(InvalidOutputError, match=r"expected 4 rows, got 2.*output_transform"):
            self.run(self.every_second_row(rows), rows, output_mode="probs", batch_size=4)

    @needs("functions")
    def test_a_wrong_row_count_in_the_last_batch_is_refused(self) -> None:
        """Padding must not hide it: the last batch has 2 rows, its model answers with one row less."""
        model = self.function(lambda batch: batch[:-1] if int(batch.shape[0]) < 4 else batch)
        with pytest.raises(InvalidOutputError, match=r"batch 2.*expected 2 rows, got 1"):
            self.run(model, probabilities(), output_transform=self.to_host, batch_size=4)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_value_that_is_not_finite_is_refused_with_its_index(self, value: float) -> None:
        rows = probabilities()
        rows[7, 2] = value
        self._refused(r"batch 1, index 7.*not finite", rows)

    @needs("logits")
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_logit_that_is_not_finite_is_refused_with_its_index(self, value: float) -> None:
        logits = reference.samples(rows=10, shape=(4,))[0]
        logits[7, 2] = value
        self._refused(r"batch 1, index 7.*not finite", logits, "logits")

    def test_negative_probabilities_are_refused_with_their_index(self) -> None:
        rows = np.full((10, 4), 0.25, np.float32)
        rows[5] = [0.5, 0.6, -0.1, 0.0]
        self._refused(r"batch 1, index 5.*negative", rows)

    def test_probabilities_that_do_not_sum_to_one_are_refused(self) -> None:
        rows = np.full((10, 4), 0.25, np.float32)
        rows[9, 0] = 0.2502
        self._refused(r"index 9.*sums to 1.0002", rows)

    def test_auto_refuses_scores_after_probabilities(self) -> None:
        rows = np.full((10, 4), 0.25, np.float32)
        rows[4:] = reference.samples(rows=6, shape=(4,))[0]
        self._refused("first batch held probabilities", rows, "auto")

    @needs("logits")
    def test_auto_refuses_probabilities_after_logits(self) -> None:
        logits = reference.samples(rows=10, shape=(4,))[0]
        logits[4:] = 0.25
        self._refused("those of the first batch were logits", logits, "auto")

    @needs("functions")
    def test_another_container_is_refused_with_the_way_out(self) -> None:
        with pytest.raises(TypeError, match=r"Model must return .*output_transform"):
            self.run(self.function(lambda batch: {"scores": batch}), probabilities(), batch_size=4)

    @needs("functions")
    @pytest.mark.parametrize("output_mode", ["auto", "probs", "logits"])
    def test_complex_outputs_are_refused(self, output_mode: str) -> None:
        """A cast would drop the imaginary part; a backend may say so itself or leave it to ``as_probabilities``."""
        answers = self.array(probabilities(4).astype(np.complex64))
        with pytest.raises((TypeError, InvalidOutputError), match=r"numbers.*complex"):
            self.run(self.function(lambda _: answers), probabilities(4), output_mode=output_mode, batch_size=4)

    @needs("functions")
    def test_more_axes_are_refused(self) -> None:
        model = self.function(lambda batch: batch[:, None, :])
        with pytest.raises(InvalidOutputError, match=r"\(rows, classes\)"):
            self.run(model, probabilities(), output_mode="probs", batch_size=4)

    @needs("functions")
    def test_a_models_own_error_passes_with_a_note(self) -> None:
        class OwnError(Exception):
            pass

        def model(batch: Any) -> Any:
            raise OwnError

        with pytest.raises(OwnError) as caught:
            self.run(self.function(model), probabilities(), output_mode="probs", batch_size=4)
        assert any("batch 0" in note for note in caught.value.__notes__)
