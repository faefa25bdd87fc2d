"""The part of the suite that feeds a backend models which break a rule; each must be noticed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.testing import reference


class MisuseChecks:
    """Checks on what the generator and the backend refuse together."""

    function: Callable[..., Any]
    run: Callable[..., Any]

    def _logits(self, rows: int = 10) -> Any:
        return reference.samples(rows=rows, shape=(4,))[0]

    def test_a_wrong_row_count_is_refused(self) -> None:
        model = self.function(lambda batch: batch[::2])
        with pytest.raises(InvalidOutputError, match=r"expected 4 rows, got 2.*output_transform"):
            self.run(model, self._logits(), output_mode="logits", batch_size=4)

    def test_a_wrong_row_count_in_the_last_batch_is_refused(self) -> None:
        """Padding must not hide it: the last batch has 2 rows, its model answers with one row less."""
        model = self.function(lambda batch: batch[:-1] if int(batch.shape[0]) < 4 else batch)
        with pytest.raises(InvalidOutputError, match=r"batch 2.*expected 2 rows, got 1"):
            self.run(model, self._logits(), output_transform=_softmax_on_host, batch_size=4)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_value_that_is_not_finite_is_refused_with_its_index(self, value: float) -> None:
        logits = self._logits()
        logits[7, 2] = value
        with pytest.raises(InvalidOutputError, match=r"batch 1, index 7.*not finite"):
            self.run(self.function(lambda batch: batch), logits, output_mode="logits", batch_size=4)

    def test_negative_probabilities_are_refused_with_their_index(self) -> None:
        rows = np.full((10, 4), 0.25, np.float32)
        rows[5] = [0.5, 0.6, -0.1, 0.0]
        with pytest.raises(InvalidOutputError, match=r"batch 1, index 5.*negative"):
            self.run(self.function(lambda batch: batch), rows, output_mode="probs", batch_size=4)

    def test_probabilities_that_do_not_sum_to_one_are_refused(self) -> None:
        rows = np.full((10, 4), 0.25, np.float32)
        rows[9, 0] = 0.2502
        with pytest.raises(InvalidOutputError, match=r"index 9.*sums to 1.0002"):
            self.run(self.function(lambda batch: batch), rows, output_mode="probs", batch_size=4)

    def test_auto_refuses_logits_after_probabilities(self) -> None:
        rows = np.full((10, 4), 0.25, np.float32)
        rows[4:] = self._logits(6)
        with pytest.raises(InvalidOutputError, match="first batch held probabilities"):
            self.run(self.function(lambda batch: batch), rows, batch_size=4)

    def test_auto_refuses_probabilities_after_logits(self) -> None:
        logits = self._logits()
        logits[4:] = 0.25
        with pytest.raises(InvalidOutputError, match="those of the first batch were logits"):
            self.run(self.function(lambda batch: batch), logits, batch_size=4)

    def test_another_container_is_refused_with_the_way_out(self) -> None:
        with pytest.raises(TypeError, match=r"Model must return .*output_transform"):
            self.run(self.function(lambda batch: {"scores": batch}), self._logits(), batch_size=4)

    def test_more_axes_are_refused(self) -> None:
        model = self.function(lambda batch: batch[:, None, :])
        with pytest.raises(InvalidOutputError, match=r"\(rows, classes\)"):
            self.run(model, self._logits(), output_mode="logits", batch_size=4)

    def test_a_models_own_error_passes_with_a_note(self) -> None:
        class OwnError(Exception):
            pass

        def model(batch: Any) -> Any:
            raise OwnError

        with pytest.raises(OwnError) as caught:
            self.run(self.function(model), self._logits(), output_mode="logits", batch_size=4)
        assert any("batch 0" in note for note in caught.value.__notes__)


def _softmax_on_host(outputs: Any) -> Any:
    return reference.softmax(np.asarray(outputs))
