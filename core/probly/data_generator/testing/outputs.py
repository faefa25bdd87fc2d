"""The part of the suite on the way from a model's outputs to rows."""

from typing import Any

import numpy as np
import pytest

from probly.data_generator.testing import reference
from probly.data_generator.testing.capabilities import needs
from probly.data_generator.testing.suite import Suite, assert_rows


def probabilities(rows: int = 10) -> Any:
    """Return random float32 rows over four classes."""
    return reference.softmax(reference.samples(rows=rows, shape=(4,))[0]).astype(np.float32)


class OutputChecks(Suite):
    """Softmax, single scores, containers, ``output_mode`` and ``output_transform``."""

    @needs("logits")
    @pytest.mark.parametrize("scale", [1.0, 1000.0])
    def test_softmax_is_stable(self, scale: float) -> None:
        logits = reference.samples(rows=9, shape=(4,))[0] * np.float32(scale)
        distributions = self.run(self.identity(logits), logits, output_mode="logits", batch_size=4)
        assert_rows(distributions, reference.softmax(logits))

    def test_auto_recognizes_probabilities(self) -> None:
        rows = probabilities(9)
        distributions = self.run(self.identity(rows), rows, batch_size=4)
        np.testing.assert_array_equal(distributions.probabilities, rows)
        assert distributions.meta["output_mode"] == "probs"

    @needs("logits")
    @pytest.mark.parametrize("shape", [(9,), (9, 1)])
    def test_single_logits_become_two_columns(self, shape: tuple[int, ...]) -> None:
        logits = np.linspace(-30, 30, 9, dtype=np.float32).reshape(shape)
        distributions = self.run(self.identity(logits), logits, output_mode="logits", batch_size=4)
        assert_rows(distributions, reference.softmax(np.stack([np.zeros(9), logits.ravel()], axis=1)))

    @pytest.mark.parametrize("shape", [(9,), (9, 1)])
    def test_single_probabilities_become_two_columns(self, shape: tuple[int, ...]) -> None:
        scores = np.linspace(0, 1, 9, dtype=np.float32).reshape(shape)
        distributions = self.run(self.identity(scores), scores, output_mode="probs", batch_size=4)
        assert_rows(distributions, np.stack([1 - scores.ravel(), scores.ravel()], axis=1))

    @needs("functions", "logits")
    def test_outputs_with_logits_are_unwrapped(self) -> None:
        logits = reference.samples(rows=6, shape=(4,))[0]
        model = self.function(lambda batch: {"logits": batch, "hidden": batch * 2})
        assert_rows(self.run(model, logits, output_mode="logits", batch_size=4), reference.softmax(logits))

    @needs("functions")
    def test_output_transform_gets_the_raw_outputs(self) -> None:
        rows = probabilities(6)
        seen = []

        def transform(outputs: Any) -> Any:
            seen.append(type(outputs))
            return outputs[1]

        model = self.function(lambda batch: ("ignored", batch))
        distributions = self.run(model, rows, output_transform=transform, batch_size=4)
        np.testing.assert_array_equal(distributions.probabilities, rows)
        assert seen == [tuple, tuple]
        assert distributions.meta["output_mode"] == "transform"

    @needs("functions")
    @pytest.mark.parametrize("output_mode", ["probs", "transform"])
    def test_a_model_may_reuse_the_memory_of_its_outputs(self, output_mode: str) -> None:
        """Rows are collected one batch late, when the model has written the next ones."""
        rows = probabilities(12)
        memory = self.array(rows[:4].copy())

        def model(batch: Any) -> Any:
            try:
                memory[:] = batch
            except TypeError:  # arrays of this framework cannot be written to
                return batch
            return memory

        options = (
            {"output_transform": lambda outputs: outputs} if output_mode == "transform" else {"output_mode": "probs"}
        )
        distributions = self.run(self.function(model), rows, batch_size=4, **options)
        np.testing.assert_array_equal(distributions.probabilities, rows)

    @needs("logits")
    def test_to_probs_returns_the_frameworks_array(self) -> None:
        logits = reference.samples(rows=6, shape=(4,))[0]
        generator = self.generator(self.mlp(reference.mlp_weights()), output_mode="logits")
        rows = generator.to_probs(self.array(logits))
        assert type(rows) is type(self.array(logits))
        np.testing.assert_allclose(self.to_host(rows), reference.softmax(logits), rtol=0, atol=1e-6)
