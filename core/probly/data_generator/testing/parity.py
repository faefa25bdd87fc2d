"""The part of the suite that compares rows with the reference: sources, sizes, dtypes, and nothing said at all."""

from typing import Any

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from probly.data_generator.testing.capabilities import needs
from probly.data_generator.testing.suite import Suite, assert_rows, positions


class ParityChecks(Suite):
    """The rows of a run are those of the model, in float32."""

    @pytest.mark.parametrize("source", ["arrays", "dataset", "loader"])
    def test_rows_agree_with_the_reference(self, source: str) -> None:
        model, inputs, expected = self.classifier()
        labels = positions(inputs)
        distributions = self.run(model, self.source(source, inputs, labels, 16), batch_size=16)
        assert_rows(distributions, expected)
        np.testing.assert_array_equal(distributions.indices, np.arange(len(inputs)))
        np.testing.assert_array_equal(distributions.labels, labels)
        assert distributions.meta["output_mode"] == ("probs" if "logits" in self.cannot else "logits")

    def test_a_run_with_nothing_said_agrees_with_the_reference(self) -> None:
        """Every argument is left at its default: the device, and the backend where it recognizes its models."""
        model, inputs, expected = self.classifier()
        chosen: dict[str, Any] = {} if self.loaded_backend.has("recognizes") else {"backend": self.backend}
        generator = FirstOrderDataGenerator(model, **chosen)
        assert self.backend in generator.backend.info.aliases
        assert_rows(generator.generate_distributions(inputs), expected)

    @needs("weights", unless="cnn")
    def test_cnn_agrees_with_numpy(self) -> None:
        weights = reference.cnn_weights()
        images, labels = reference.samples(rows=20, shape=(8, 8, 1))
        distributions = self.run(self.cnn(weights), self.dataset(images, labels), batch_size=8)
        assert_rows(distributions, reference.softmax(reference.cnn_logits(weights, images)))

    @pytest.mark.parametrize(("rows", "batch_size"), [(1, 1), (1, 64), (7, 3), (6, 3), (5, 1), (16, 16), (17, 16)])
    def test_any_batch_size_gives_the_same_rows(self, rows: int, batch_size: int) -> None:
        model, inputs, expected = self.classifier()
        dataset = self.dataset(inputs[:rows], positions(inputs[:rows]))
        assert_rows(self.run(model, dataset, batch_size=batch_size), expected[:rows])

    def test_empty_data_gives_an_empty_result(self) -> None:
        model, inputs, _ = self.classifier()
        distributions = self.run(model, (inputs[:0], positions(inputs[:0])))
        assert len(distributions) == 0
        assert distributions.probabilities.shape == (0, 0)

    def test_runs_repeat_exactly(self) -> None:
        """Stochastic layers are off, and nothing of a run stays in the model."""
        model, inputs, _ = self.classifier()
        generator = self.generator(model, batch_size=8)
        first = generator.generate_distributions(inputs, progress=False)
        assert first == generator.generate_distributions(inputs, progress=False)

    @needs("functions", unless="identity")
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_probabilities_of_any_dtype_become_float32(self, dtype: Any) -> None:
        rows = reference.softmax(reference.samples(rows=16, shape=(10,))[0])
        given = rows.astype(dtype)
        tolerance = 1e-3 if dtype is np.float16 else 1e-6
        assert_rows(self.run(self.identity(given), given, output_mode="probs", batch_size=5), rows, tolerance)

    @needs("bfloat16", unless="bfloat16")
    def test_bfloat16_is_upcast(self) -> None:
        """NumPy has no such dtype, so the backend upcasts before anything gets there."""
        rows = reference.softmax(reference.samples(rows=16, shape=(10,))[0]).astype(np.float32)
        assert_rows(self.run(self.bfloat16(rows), rows, output_mode="probs", batch_size=5), rows, 2.0**-8)
        model = self.loaded(self.bfloat16(rows))
        on_device = self.hook.to_device(data=rows, device=model.device)
        hosted = self.to_host(self.hook.forward(model=model, inputs=on_device, batch_size=16))
        assert hosted.dtype == np.float32
        np.testing.assert_array_equal(hosted, reference.bfloat16(rows))
