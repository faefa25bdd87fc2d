"""The part of the suite that feeds a backend models which break a rule; each must be noticed."""

from typing import Any

import numpy as np
import pytest

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.testing.capabilities import needs
from probly.data_generator.testing.suite import Suite, probabilities


class MisuseChecks(Suite):
    """What the generator refuses, and a backend must not hide."""

    @needs("functions", unless="every_second_row")
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

    @needs("functions", unless="identity")
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_value_that_is_not_finite_is_refused_with_its_index(self, value: float) -> None:
        rows = probabilities()
        rows[7, 2] = value
        with pytest.raises(InvalidOutputError, match=r"batch 1, index 7.*not finite"):
            self.run(self.identity(rows), rows, output_mode="probs", batch_size=4)

    @needs("functions")
    def test_another_container_is_refused_with_the_way_out(self) -> None:
        with pytest.raises(TypeError, match=r"Model must return .*output_transform"):
            self.run(self.function(lambda batch: {"scores": batch}), probabilities(), batch_size=4)

    @needs("functions")
    def test_complex_outputs_are_refused(self) -> None:
        """A cast would drop the imaginary part."""
        answers = self.array(probabilities(4).astype(np.complex64))
        with pytest.raises((TypeError, InvalidOutputError), match=r"numbers.*complex"):
            self.run(self.function(lambda _: answers), probabilities(4), batch_size=4)

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
