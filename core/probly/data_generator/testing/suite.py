"""What a subclass of the suite says: which backend, how its models and datasets are built, what it cannot do."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from probly.data_generator import Distributions, FirstOrderDataGenerator, SimpleDataLoader, hookimpl
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import Backend, load_backend
from probly.data_generator.hookspecs import HOST
from probly.data_generator.testing import reference
from probly.data_generator.testing.capabilities import check_declarations
from probly.data_generator.toolkit.digest import digest_state


class Suite:
    """The part that subclasses fill, and what the checks share; see ``BackendConformance``."""

    backend: ClassVar[str]
    device: ClassVar[str] = "cpu"
    framework_modules: ClassVar[tuple[str, ...]] = ()
    cannot: ClassVar[frozenset[str]] = frozenset()
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse declarations that would switch a check off unseen."""
        super().__init_subclass__(**options)
        check_declarations(cls)

    # Models: the first two, or the third where a model cannot be given weights

    def mlp(self, weights: reference.MLPWeights) -> Any:
        """Return a model of the framework with these weights; give it a dropout if the framework has one."""
        message = 'mlp: return a model with these weights, or override classifier and say cannot = {"weights"}'
        raise NotImplementedError(message)

    def cnn(self, weights: reference.CNNWeights) -> Any:
        """Return a model of the framework with these weights, for NHWC images."""
        message = 'cnn: return a model with these weights, or override classifier and say cannot = {"weights"}'
        raise NotImplementedError(message)

    def classifier(self) -> reference.Classifier:
        """Return a model with inputs and the rows that must come of them: by default ``mlp`` and its closed form.

        Override it where models are made by training alone, such as trees. Each call returns the same, newly made.
        """
        weights = reference.mlp_weights()
        inputs, _ = reference.samples(rows=50)
        return reference.Classifier(
            self.mlp(weights), inputs, reference.softmax(reference.mlp_logits(weights, inputs)).astype(np.float32)
        )

    # To be replaced where the framework has its own; these are right where a framework takes NumPy arrays

    def array(self, values: Any) -> Any:
        """Return the framework's array of a NumPy array."""
        return np.asarray(values)

    def dataset(self, inputs: Any, labels: Any) -> Any:
        """Return the framework's own kind of dataset of (input, label) samples."""
        return list(zip(inputs, labels, strict=True))

    def loader(self, inputs: Any, labels: Any, batch_size: int) -> Any:
        """Return the framework's own kind of loader, in order."""
        return SimpleDataLoader(self.dataset(inputs, labels), batch_size)

    def shuffled_loader(self, inputs: Any, labels: Any, batch_size: int) -> Any:
        """Return a loader that shuffles, whether or not the backend can tell its indices."""
        return SimpleDataLoader(self.dataset(inputs, labels), batch_size, shuffle=True)

    def model_state(self, model: Any) -> Any:
        """Return what a run must give back as it was, for a model of ``classifier``.

        Weights, training mode, device, random state: a nest of NumPy arrays, numbers and text. By default a digest of
        its attributes.
        """
        return digest_state(model)

    def function(self, function: Callable[[Any], Any]) -> Any:
        """Return a model that calls a function on the framework's own arrays, outside any compilation."""
        return function

    def identity(self, example: Any) -> Any:
        """Return a model that returns its inputs; ``example`` is a NumPy batch with their dtype and sample shape."""
        return self.function(lambda batch: batch)

    def every_second_row(self, example: Any) -> Any:
        """Return a model that returns the rows 0, 2, 4, ... of its inputs; see ``identity``."""
        return self.function(lambda batch: batch[::2])

    def keeps_gradients(self, array: Any) -> bool:
        """Return whether an array of the framework remembers what it was computed from."""
        return False

    def out_of_memory(self) -> BaseException:
        """Return the error that the framework raises when memory does not suffice."""
        return MemoryError()

    # To be filled where the framework has it; else see ``cannot``

    def bfloat16(self, example: Any) -> Any:
        """Return a model that returns its inputs cast to bfloat16; ``example`` is a NumPy batch of float32."""
        raise NotImplementedError

    def bayesian(self, mu: Any, rho: Any) -> Any:
        """Return a model with one Bayesian layer whose only parameter has this mean and this rho, NumPy arrays."""
        raise NotImplementedError

    # What the checks share

    @pytest.fixture(autouse=True)
    def _expect_declared_failure(self, request: pytest.FixtureRequest) -> None:
        reason = self.expected_failures.get(request.function.__name__)
        if reason:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

    def generator(self, model: Any, **options: Any) -> FirstOrderDataGenerator:
        """Return a generator of the backend under test."""
        return FirstOrderDataGenerator(model, **{"backend": self.backend, "device": self.device, **options})

    @property
    def loaded_backend(self) -> Backend:
        """The backend under test, alone."""
        return load_backend(find_backend(self.backend))

    @property
    def hook(self) -> Any:
        """The hooks of the backend under test, to be called by keywords."""
        return self.loaded_backend.hook

    def loaded(self, model: Any) -> Any:
        """Return what the hook ``load_model`` makes of a model."""
        return self.hook.load_model(source=model, device=self.device, options={})

    def to_host(self, data: Any) -> Any:
        """Return a nest with its arrays in host memory."""
        return self.hook.to_device(data=data, device=HOST)

    def run(self, model: Any, dataset: Any, **options: Any) -> Distributions:
        """Return the distributions of one run."""
        return self.generator(model, **options).generate_distributions(dataset, progress=False)

    def forwarded(self, model: Any, dataset: Any, **options: Any) -> list[Any]:
        """Return what the hook ``forward`` answered to each batch of a run."""
        recorder = _Recorder()
        self.run(model, dataset, wrappers=[recorder], **options)
        return recorder.answers

    def source(self, kind: str, inputs: Any, labels: Any, batch_size: int) -> Any:
        """Return the same samples as ``"arrays"``, as the framework's ``"dataset"`` or as its ``"loader"``."""
        if kind == "arrays":
            return inputs, labels
        return self.dataset(inputs, labels) if kind == "dataset" else self.loader(inputs, labels, batch_size)


class _Recorder:
    def __init__(self) -> None:
        self.answers: list[Any] = []

    @hookimpl(wrapper=True)
    def forward(self) -> Any:
        answer = yield
        self.answers.append(answer)
        return answer


def positions(inputs: Any) -> Any:
    """Return a label for each input: its own place."""
    return np.arange(len(inputs))


def probabilities(rows: int = 10) -> Any:
    """Return random float32 rows over four classes."""
    return reference.softmax(reference.samples(rows=rows, shape=(4,))[0]).astype(np.float32)


def assert_rows(distributions: Distributions, expected: Any, tolerance: float = 1e-6) -> None:
    """Check that rows are float32 and what they should be."""
    assert distributions.probabilities.dtype == np.float32
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=tolerance)
