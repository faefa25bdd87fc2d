"""What a subclass of the suite says: which backend, how its models and datasets are built, what it cannot do."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from probly.data_generator import Distributions, FirstOrderDataGenerator, hookimpl
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.hookspecs import HOST
from probly.data_generator.testing import reference
from probly.data_generator.testing.capabilities import check_declarations


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

    # To be filled by every subclass

    def mlp(self, weights: reference.MLPWeights) -> Any:
        """Return a model of the framework with these weights; give it a dropout if the framework has one."""
        raise NotImplementedError

    def cnn(self, weights: reference.CNNWeights) -> Any:
        """Return a model of the framework with these weights, for NHWC images."""
        raise NotImplementedError

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

    def model_state(self, model: Any) -> Any:
        """Return what a run must give back as it was, for a model of ``mlp``.

        Weights, training mode, device, random state: a nest of NumPy arrays, numbers and text.
        """
        raise NotImplementedError

    # To be filled where the framework has it; else see ``cannot`` and ``expected_failures``

    def function(self, function: Callable[[Any], Any]) -> Any:
        """Return a model that calls a function on the framework's own arrays, outside any compilation."""
        return function

    def bfloat16(self, example: Any) -> Any:
        """Return a model that returns its inputs cast to bfloat16; ``example`` is a NumPy batch of float32."""
        raise NotImplementedError

    def bayesian(self, mu: Any, rho: Any) -> Any:
        """Return a model with one Bayesian layer whose only parameter has this mean and this rho, NumPy arrays."""
        raise NotImplementedError

    # To be replaced where the answer is not right

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
    def hook(self) -> Any:
        """The hooks of the backend under test, to be called by keywords."""
        return load_backend(find_backend(self.backend)).hook

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


class _Recorder:
    def __init__(self) -> None:
        self.answers: list[Any] = []

    @hookimpl(wrapper=True)
    def forward(self) -> Any:
        answer = yield
        self.answers.append(answer)
        return answer


def assert_rows(distributions: Distributions, expected: Any, tolerance: float = 1e-6) -> None:
    """Check that rows are float32 and what they should be."""
    assert distributions.probabilities.dtype == np.float32
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=tolerance)
