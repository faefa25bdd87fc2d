"""The part of the suite that compares rows with closed-form NumPy: models, sizes, dtypes."""

from typing import Any

import numpy as np
import pytest

from probly.data_generator.testing import reference
from probly.data_generator.testing.capabilities import needs
from probly.data_generator.testing.suite import Suite, assert_rows


class ParityChecks(Suite):
    """The rows of a run are those of the model, in float32."""

    @pytest.mark.parametrize("source", ["arrays", "dataset", "loader"])
    def test_mlp_agrees_with_numpy(self, source: str) -> None:
        weights = reference.mlp_weights()
        inputs, labels = reference.samples(rows=50)
        dataset = (inputs, labels)
        if source == "dataset":
            dataset = self.dataset(inputs, labels)
        elif source == "loader":
            dataset = self.loader(inputs, labels, 16)
        distributions = self.run(self.mlp(weights), dataset, batch_size=16)
        assert_rows(distributions, reference.softmax(reference.mlp_logits(weights, inputs)))
        np.testing.assert_array_equal(distributions.indices, np.arange(50))
        np.testing.assert_array_equal(distributions.labels, labels)
        assert distributions.meta["output_mode"] == ("probs" if "logits" in self.cannot else "logits")

    def test_cnn_agrees_with_numpy(self) -> None:
        weights = reference.cnn_weights()
        images, labels = reference.samples(rows=20, shape=(8, 8, 1))
        distributions = self.run(self.cnn(weights), self.dataset(images, labels), batch_size=8)
        assert_rows(distributions, reference.softmax(reference.cnn_logits(weights, images)))

    @pytest.mark.parametrize(("rows", "batch_size"), [(1, 1), (1, 64), (7, 3), (6, 3), (5, 1), (64, 64), (65, 64)])
    def test_any_batch_size_gives_the_same_rows(self, rows: int, batch_size: int) -> None:
        weights = reference.mlp_weights()
        inputs, labels = reference.samples(rows=rows)
        distributions = self.run(self.mlp(weights), self.dataset(inputs, labels), batch_size=batch_size)
        assert_rows(distributions, reference.softmax(reference.mlp_logits(weights, inputs)))

    def test_empty_data_gives_an_empty_result(self) -> None:
        inputs, labels = reference.samples(rows=0)
        distributions = self.run(self.mlp(reference.mlp_weights()), (inputs, labels))
        assert len(distributions) == 0
        assert distributions.probabilities.shape == (0, 0)

    def test_runs_repeat_exactly(self) -> None:
        """Stochastic layers are off, and nothing of a run stays in the model."""
        inputs, labels = reference.samples(rows=30)
        generator = self.generator(self.mlp(reference.mlp_weights()), batch_size=8)
        first = generator.generate_distributions((inputs, labels), progress=False)
        assert first == generator.generate_distributions((inputs, labels), progress=False)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_probabilities_of_any_dtype_become_float32(self, dtype: Any) -> None:
        rows = reference.softmax(reference.samples(rows=16, shape=(10,))[0])
        given = rows.astype(dtype)
        options: dict[str, Any] = {"output_mode": "probs", "batch_size": 5}
        tolerance = 1e-3 if dtype is np.float16 else 1e-6
        assert_rows(self.run(self.identity(given), given, **options), rows, tolerance)
        for answer in self.forwarded(self.identity(given), given, **options):
            assert "float32" in str(answer.dtype)

    @needs("logits")
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_logits_of_any_dtype_become_float32(self, dtype: Any) -> None:
        """Half precision is upcast before the softmax, not after."""
        given = reference.samples(rows=16, shape=(10,))[0].astype(dtype)
        options: dict[str, Any] = {"output_mode": "logits", "batch_size": 5}
        assert_rows(self.run(self.identity(given), given, **options), reference.softmax(given))
        for answer in self.forwarded(self.identity(given), given, **options):
            assert "float32" in str(answer.dtype)

    def test_bfloat16_is_upcast(self) -> None:
        """NumPy has no such dtype, so the backend upcasts before anything gets there."""
        rows = reference.softmax(reference.samples(rows=16, shape=(10,))[0]).astype(np.float32)
        assert_rows(self.run(self.bfloat16(rows), rows, output_mode="probs", batch_size=5), rows, 2.0**-8)
        model = self.hook.load_model(source=self.bfloat16(rows), device=self.device, options={})
        on_device = self.hook.to_device(data=rows, device=model.device)
        outputs = self.hook.forward(model=model, inputs=on_device, output_mode="raw", batch_size=16)
        assert "bfloat16" in str(outputs.dtype)
        hosted = self.to_host(outputs)
        assert hosted.dtype == np.float32
        np.testing.assert_array_equal(hosted, reference.bfloat16(rows))
