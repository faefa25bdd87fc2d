"""BackendConformance: what every backend must do, as pytest methods of a class to subclass."""

import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from probly.data_generator import Distributions, FirstOrderDataGenerator
from probly.data_generator.backends import find_backend
from probly.data_generator.hookspecs import HOST
from probly.data_generator.testing import reference
from probly.data_generator.testing.misuse import MisuseChecks

NamedPair: Any = namedtuple("NamedPair", ["left", "right"])  # noqa: PYI024  # the plain kind is the one to test


class BackendConformance(MisuseChecks):
    """Subclass it, say which backend and how to build its models and datasets, and run pytest.

    Attributes:
        backend: The name of the backend under test.
        device: A device that is there on every machine.
        framework_modules: Top-level modules that must not be imported before a hook is called.
    """

    backend: ClassVar[str]
    device: ClassVar[str] = "cpu"
    framework_modules: ClassVar[tuple[str, ...]] = ()

    def mlp(self, weights: reference.MLPWeights) -> Any:
        """Return a model of the framework with these weights; give it a dropout if the framework has one."""
        raise NotImplementedError

    def cnn(self, weights: reference.CNNWeights) -> Any:
        """Return a model of the framework with these weights, for NHWC images."""
        raise NotImplementedError

    def function(self, function: Callable[[Any], Any]) -> Any:
        """Return a model that calls a function on the framework's own arrays, outside any compilation."""
        return function

    def array(self, values: Any) -> Any:
        """Return the framework's array of a NumPy array."""
        raise NotImplementedError

    def dataset(self, inputs: Any, labels: Any) -> Any:
        """Return the framework's own kind of dataset of (input, label) samples."""
        raise NotImplementedError

    def loader(self, inputs: Any, labels: Any, batch_size: int) -> Any:
        """Return the framework's own kind of loader, in order."""
        raise NotImplementedError

    def shuffled_loader(self, inputs: Any, labels: Any, batch_size: int) -> Any:
        """Return a loader that shuffles, whether or not the backend can tell its indices."""
        raise NotImplementedError

    def out_of_memory(self) -> BaseException:
        """Return the error that the framework raises when memory does not suffice."""
        return MemoryError()

    def generator(self, model: Any, **options: Any) -> FirstOrderDataGenerator:
        """Return a generator of the backend under test."""
        return FirstOrderDataGenerator(model, **{"backend": self.backend, "device": self.device, **options})

    def run(self, model: Any, dataset: Any, **options: Any) -> Distributions:
        """Return the distributions of one run."""
        return self.generator(model, **options).generate_distributions(dataset, progress=False)

    # Parity with closed-form NumPy

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
        expected = reference.softmax(reference.mlp_logits(weights, inputs))
        np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(distributions.indices, np.arange(50))
        np.testing.assert_array_equal(distributions.labels, labels)
        assert distributions.meta["output_mode"] == "logits"

    def test_cnn_agrees_with_numpy(self) -> None:
        weights = reference.cnn_weights()
        images, labels = reference.samples(rows=20, shape=(8, 8, 1))
        distributions = self.run(self.cnn(weights), self.dataset(images, labels), batch_size=8)
        expected = reference.softmax(reference.cnn_logits(weights, images))
        np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize(("rows", "batch_size"), [(1, 1), (1, 64), (7, 3), (6, 3), (5, 1), (64, 64), (65, 64)])
    def test_any_batch_size_gives_the_same_rows(self, rows: int, batch_size: int) -> None:
        weights = reference.mlp_weights()
        inputs, labels = reference.samples(rows=rows)
        distributions = self.run(self.mlp(weights), self.dataset(inputs, labels), batch_size=batch_size)
        expected = reference.softmax(reference.mlp_logits(weights, inputs))
        np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)

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

    # Alignment

    def test_a_shuffled_loader_lands_under_the_right_index_or_is_refused(self) -> None:
        weights = reference.mlp_weights()
        inputs, labels = reference.samples(rows=50)
        loader = self.shuffled_loader(inputs, labels, 8)
        try:
            distributions = self.run(self.mlp(weights), loader)
        except ValueError as error:
            assert "index" in str(error)  # noqa: PT017  # refusing is right where nothing can know the indices
            return
        expected = reference.softmax(reference.mlp_logits(weights, inputs))
        np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(distributions.labels, labels)

    def test_input_getter_picks_the_input_of_a_sample_and_of_a_batch(self) -> None:
        weights = reference.mlp_weights()
        inputs, labels = reference.samples(rows=10)
        expected = reference.softmax(reference.mlp_logits(weights, 2 * inputs))
        for dataset in (self.dataset(inputs, labels), self.loader(inputs, labels, 4)):
            distributions = self.run(self.mlp(weights), dataset, input_getter=lambda pair: 2 * pair[0])
            np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("output_mode", ["logits", "auto"])
    def test_inputs_are_not_changed(self, output_mode: str) -> None:
        """Nor are the rows wrong if the model works in place and is called twice for the first batch."""

        def model(batch: Any) -> Any:
            batch *= 2
            return batch

        logits = 5 * reference.samples(rows=10, shape=(4,))[0]
        before = logits.copy()
        distributions = self.run(self.function(model), logits, output_mode=output_mode, batch_size=4)
        np.testing.assert_array_equal(logits, before)
        np.testing.assert_allclose(distributions.probabilities, reference.softmax(2 * before), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("output_mode", ["probs", "transform"])
    def test_a_model_may_reuse_the_memory_of_its_outputs(self, output_mode: str) -> None:
        """Rows are collected one batch late, when the model has written the next ones."""
        rows = reference.softmax(reference.samples(rows=12, shape=(4,))[0]).astype(np.float32)
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

    # From outputs to rows

    @pytest.mark.parametrize("scale", [1.0, 1000.0])
    def test_softmax_is_stable(self, scale: float) -> None:
        logits = reference.samples(rows=9, shape=(4,))[0] * np.float32(scale)
        distributions = self.run(self.function(lambda batch: batch), logits, output_mode="logits", batch_size=4)
        np.testing.assert_allclose(distributions.probabilities, reference.softmax(logits), rtol=0, atol=1e-6)

    def test_auto_recognizes_probabilities(self) -> None:
        rows = reference.softmax(reference.samples(rows=9, shape=(4,))[0]).astype(np.float32)
        distributions = self.run(self.function(lambda batch: batch), rows, batch_size=4)
        np.testing.assert_array_equal(distributions.probabilities, rows)
        assert distributions.meta["output_mode"] == "probs"

    @pytest.mark.parametrize("shape", [(9,), (9, 1)])
    def test_single_scores_become_two_columns(self, shape: tuple[int, ...]) -> None:
        logits = np.linspace(-30, 30, 9, dtype=np.float32).reshape(shape)
        positive = reference.softmax(np.stack([np.zeros(9), logits.ravel()], axis=1))
        identity = self.function(lambda batch: batch)
        distributions = self.run(identity, logits, output_mode="logits", batch_size=4)
        np.testing.assert_allclose(distributions.probabilities, positive, rtol=0, atol=1e-6)
        scores = positive[:, 1].astype(np.float32).reshape(shape)
        distributions = self.run(identity, scores, output_mode="probs", batch_size=4)
        np.testing.assert_allclose(distributions.probabilities, positive, rtol=0, atol=1e-6)

    @pytest.mark.parametrize("output_mode", ["logits", "probs"])
    def test_half_precision_is_upcast(self, output_mode: str) -> None:
        logits = reference.samples(rows=16, shape=(10,))[0]
        rows = reference.softmax(logits)
        given = (logits if output_mode == "logits" else rows).astype(np.float16)
        expected = reference.softmax(given) if output_mode == "logits" else rows
        distributions = self.run(self.function(lambda batch: batch), given, output_mode=output_mode, batch_size=5)
        tolerance = 1e-6 if output_mode == "logits" else 1e-3
        np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=tolerance)

    def test_outputs_with_logits_are_unwrapped(self) -> None:
        logits = reference.samples(rows=6, shape=(4,))[0]
        model = self.function(lambda batch: {"logits": batch, "hidden": batch * 2})
        distributions = self.run(model, logits, output_mode="logits", batch_size=4)
        np.testing.assert_allclose(distributions.probabilities, reference.softmax(logits), rtol=0, atol=1e-6)

    def test_output_transform_gets_the_raw_outputs(self) -> None:
        rows = reference.softmax(reference.samples(rows=6, shape=(4,))[0]).astype(np.float32)
        seen = []

        def transform(outputs: Any) -> Any:
            seen.append(type(outputs))
            return outputs[1]

        model = self.function(lambda batch: ("ignored", batch))
        distributions = self.run(model, rows, output_transform=transform, batch_size=4)
        np.testing.assert_array_equal(distributions.probabilities, rows)
        assert seen == [tuple, tuple]
        assert distributions.meta["output_mode"] == "transform"

    def test_to_probs_returns_the_frameworks_array(self) -> None:
        logits = reference.samples(rows=6, shape=(4,))[0]
        generator = self.generator(self.mlp(reference.mlp_weights()), output_mode="logits")
        rows = generator.to_probs(self.array(logits))
        assert type(rows) is type(self.array(logits))
        np.testing.assert_allclose(np.asarray(rows), reference.softmax(logits), rtol=0, atol=1e-6)

    # Devices

    def test_to_device_keeps_nests(self) -> None:
        generator = self.generator(self.mlp(reference.mlp_weights()))
        values = np.arange(6, dtype=np.float32).reshape(2, 3)
        nest = {"a": [self.array(values), "text"], "b": (values,), "c": NamedPair(self.array(values), {"d": None})}
        moved = generator.to_device(nest)
        assert isinstance(moved["a"], list)
        assert moved["a"][1] == "text"
        assert isinstance(moved["b"], tuple)
        assert isinstance(moved["c"], NamedPair)
        assert moved["c"].right == {"d": None}
        for leaf in (moved["a"][0], moved["b"][0], moved["c"].left):
            assert type(leaf) is type(self.array(values))
            np.testing.assert_array_equal(np.asarray(leaf), values)

    def test_to_host_gives_numpy(self) -> None:
        hook = self.generator(self.mlp(reference.mlp_weights())).backend.hook
        values = np.linspace(0, 1, 6, dtype=np.float32)
        (hosted,) = hook.to_device(data=(self.array(values),), device=HOST)
        assert type(hosted) is np.ndarray
        np.testing.assert_array_equal(hosted, values)

    def test_an_unavailable_device_is_refused_with_the_list(self) -> None:
        with pytest.raises(ValueError, match=r"gpu:7.*available.*(?i:cpu)"):
            self.generator(self.mlp(reference.mlp_weights()), device="gpu:7")

    def test_the_best_device_is_found_and_recorded(self) -> None:
        generator = self.generator(self.mlp(reference.mlp_weights()), device=None)
        assert generator.generate_distributions(reference.samples(rows=3), progress=False).meta["device"]

    # Memory

    def test_out_of_memory_halves_the_batch(self) -> None:
        logits = reference.samples(rows=21, shape=(4,))[0]
        seen = []

        def model(batch: Any) -> Any:
            seen.append(int(batch.shape[0]))
            if seen[-1] > 3:
                raise self.out_of_memory()
            return batch

        with pytest.warns(UserWarning, match="out of memory"):
            distributions = self.run(self.function(model), logits, output_mode="logits", batch_size=8)
        np.testing.assert_allclose(distributions.probabilities, reference.softmax(logits), rtol=0, atol=1e-6)
        assert [rows for rows in seen if rows > 3] == [8, 4], "the size that fits must be remembered"

    # Loading

    def test_the_backend_is_listed_and_loading_imports_no_framework(self) -> None:
        info = find_backend(self.backend)
        code = (
            "import sys\n"
            "from probly.data_generator.backends import find_backend, load_backend\n"
            f"load_backend(find_backend({self.backend!r}))\n"
            f"print([name for name in {self.framework_modules!r} if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
        assert done.stdout.strip() == "[]"
        assert self.backend in info.aliases

    def test_a_model_without_bayesian_layers_has_no_posterior(self) -> None:
        with pytest.raises(ValueError, match="no Bayesian layer"):
            self.generator(self.mlp(reference.mlp_weights())).get_posterior_distributions()

    def test_metadata_says_where_the_rows_come_from(self) -> None:
        generator = self.generator(self.mlp(reference.mlp_weights()), model_name="mlp", class_names=["a", "b", "c"])
        meta = generator.generate_distributions(reference.samples(rows=3), progress=False).meta
        assert meta["backend"] == find_backend(self.backend).name
        assert meta["model_name"] == "mlp"
        assert meta["num_classes"] == 3
        assert meta["class_names"] == ["a", "b", "c"]
        assert "probly-data-generator" in meta["versions"]
        assert meta["timestamp"]
