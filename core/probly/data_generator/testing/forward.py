"""The part of the suite on ``forward``: the model's own outputs, whole, of one call, in memory of their own."""

from typing import Any

import numpy as np
import pytest

from probly.data_generator.testing import reference
from probly.data_generator.testing.capabilities import needs
from probly.data_generator.testing.suite import Suite, assert_rows, probabilities

OUTPUTS = {
    "probabilities": probabilities(6),
    "logits": 10 * reference.samples(rows=6, shape=(4,))[0],
    "neither": np.array([[np.nan, np.inf, -np.inf, 0.0], *[[0.5, 0.6, -0.1, 0.3]] * 5], np.float32),
}
"""What a model may return; it is for the core to make rows of it or to refuse it."""


class ForwardChecks(Suite):
    """Nothing is done to what a model returns, and nothing is asked twice."""

    @needs("functions", unless="identity")
    @pytest.mark.parametrize("kind", OUTPUTS)
    def test_forward_returns_the_models_own_outputs(self, kind: str) -> None:
        given = OUTPUTS[kind]
        model = self.loaded(self.identity(given))
        for batch_size in (len(given), 2 * len(given), None):
            on_device = self.hook.to_device(data=given, device=model.device)
            outputs = self.hook.forward(model=model, inputs=on_device, batch_size=batch_size)
            np.testing.assert_array_equal(self.to_host(outputs), given)

    @needs("functions")
    @pytest.mark.parametrize("output_mode", ["auto", "logits", "probs", "transform"])
    def test_a_model_is_called_once_per_batch(self, output_mode: str) -> None:
        """A model that is compiled is called less often: while it is traced."""
        calls = []

        def model(batch: Any) -> Any:
            calls.append(batch)
            return batch

        transform = {"output_transform": lambda outputs: outputs}
        options: Any = transform if output_mode == "transform" else {"output_mode": output_mode}
        scores = probabilities(12) * np.float32(
            8 if output_mode == "logits" else 1
        )  # of its own rows, it would be warned
        self.run(self.function(model), scores, batch_size=4, **options)
        assert 1 <= len(calls) <= 3

    @needs("functions")
    def test_output_transform_gets_all_outputs_of_its_own_rows(self) -> None:
        """Without ``batch_size``, nothing is padded, and nothing is cut or picked from the outputs."""
        rows = probabilities(6)
        seen = []

        def transform(outputs: Any) -> Any:
            whole, parts = outputs
            sizes = [int(part.shape[0]) for part in (whole, parts["first"], parts["logits"])]
            seen.append((type(outputs), sorted(parts), sizes))
            return parts["logits"]

        model = self.function(lambda batch: (batch, {"logits": batch, "first": batch[:1]}))
        distributions = self.run(model, rows, output_transform=transform, batch_size=4)
        np.testing.assert_array_equal(distributions.probabilities, rows)
        assert seen == [(tuple, ["first", "logits"], [4, 1, 4]), (tuple, ["first", "logits"], [2, 1, 2])]
        assert distributions.meta["output_mode"] == "transform"

    @needs("functions")
    def test_outputs_with_logits_are_unwrapped(self) -> None:
        logits = reference.samples(rows=6, shape=(4,))[0]
        model = self.function(lambda batch: {"logits": batch, "hidden": batch * 2})
        assert_rows(self.run(model, logits, output_mode="logits", batch_size=4), reference.softmax(logits))

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

        transform = {"output_transform": lambda outputs: outputs}
        options: Any = transform if output_mode == "transform" else {"output_mode": "probs"}
        distributions = self.run(self.function(model), rows, batch_size=4, **options)
        np.testing.assert_array_equal(distributions.probabilities, rows)

    def test_to_probs_returns_the_frameworks_array(self) -> None:
        mode = "probs" if "logits" in self.cannot else "logits"
        scores = reference.samples(rows=6, shape=(4,))[0]
        expected = reference.softmax(scores)
        if mode == "probs":
            scores = expected.astype(np.float32)
        rows = self.generator(self.classifier().model, output_mode=mode).to_probs(self.array(scores))
        assert type(rows) is type(self.array(scores))
        np.testing.assert_allclose(self.to_host(rows), expected, rtol=0, atol=1e-6)
