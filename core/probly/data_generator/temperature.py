"""Softmax with a temperature, as an ``output_transform`` for models of any framework."""

import math
from typing import Any

import numpy as np

from probly.data_generator.discovery.choosing import choose_backend
from probly.data_generator.discovery.loading import Backend, load_backend
from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.hookspecs import HOST
from probly.data_generator.rows import find_bad_row, unwrap

OUTPUT_MODES = ("auto", "logits")
HALF = ("float16", "float8")
"""What the names of float dtypes with fewer than 32 bits contain."""


class Temperature:
    """Return ``softmax(logits / temperature)`` as the framework's array; pass it as ``output_transform``.

    A temperature above 1 makes the distributions flatter, one below 1 makes them sharper (Hinton, Vinyals and Dean,
    Distilling the Knowledge in a Neural Network, arXiv:1503.02531, equation 1; as a calibration method: Guo et al.,
    On Calibration of Modern Neural Networks, arXiv:1706.04599, section 4.2). A single logit per row is divided before
    the logistic function.

    The softmax is that of the framework whose arrays come: the backend that recognizes them, or NumPy's. A store
    records the temperature, so a run on it cannot be gone on with at another one.

    Args:
        temperature: A finite number above 0.
        output_mode: ``"auto"`` refuses a model whose first batch holds probabilities, because they would be taken
            for logits; ``"logits"`` does not look.

    Raises:
        ValueError: The temperature or the mode is out of its domain.

    Examples:
        >>> from probly.data_generator import FirstOrderDataGenerator
        >>> generator = FirstOrderDataGenerator(lambda inputs: inputs, output_transform=Temperature(2.0))
        >>> logits = 2.0 * np.log([[0.25, 0.75]])
        >>> generator.generate_distributions(logits, progress=False)[0]
        array([0.25, 0.75], dtype=float32)
    """

    keeps_columns = True
    """The columns stay those of the model, and so do their names."""

    def __init__(self, temperature: float, output_mode: str = "auto") -> None:
        number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
        if not number or not (math.isfinite(temperature) and temperature > 0):
            message = f"temperature: expected a finite number above 0, got {temperature!r}"
            raise ValueError(message)
        if output_mode not in OUTPUT_MODES:
            message = (
                f"Invalid output_mode {output_mode!r} with a temperature, which divides logits: expected one of "
                f"{', '.join(map(repr, OUTPUT_MODES))}"
            )
            raise ValueError(message)
        self.temperature = float(temperature)
        self.output_mode = output_mode
        # What a store knows a function by; see store.fingerprint.describe_function.
        self.__qualname__ = f"Temperature({self.temperature!r})"
        self._looked = False
        self._softmaxes: dict[type, _Softmax] = {}

    def __call__(self, outputs: Any) -> Any:
        """Return the probabilities of a batch of raw model outputs.

        Args:
            outputs: Logits of shape ``(N, classes)``, ``(N, 1)`` or ``(N,)``, or what holds them; see
                ``outputs.unwrap``.

        Returns:
            The framework's float32 array of shape ``(N, classes)`` or ``(N, 2)``; a NumPy array for half precision.

        Raises:
            InvalidOutputError: The first batch holds probabilities.
            TypeError: The outputs are class labels, or no array.
        """
        scores = unwrap(outputs)
        softmax = self._softmax(scores)
        if any(word in str(scores.dtype) for word in HALF):
            # Half precision is upcast before anything is done with it, which arrays of all frameworks do on the host.
            scores = np.asarray(softmax.backend.hook.to_device(data=scores, device=HOST)).astype(np.float32)
            softmax = self._softmax(scores)
        if not self._looked:
            self._look(softmax.rows(scores, "probs", divided=False), softmax.backend)
        return softmax.rows(scores, "logits", divided=True)

    def _softmax(self, scores: Any) -> "_Softmax":
        kind = type(scores)
        if kind not in self._softmaxes:
            self._softmaxes[kind] = _Softmax(load_backend(choose_backend(scores)), self.temperature)
        return self._softmaxes[kind]

    def _look(self, rows: Any, backend: Backend) -> None:
        """Refuse a first batch of probabilities, by the rule of output_mode="auto"."""
        hosted = np.asarray(backend.hook.to_device(data=rows, device=HOST))
        if self.output_mode == "auto" and hosted.ndim == 2 and find_bad_row(hosted) is None:
            message = (
                "a temperature needs logits, but the first batch holds probabilities; let the model return what comes "
                'before its softmax, or set output_mode="logits" if these are logits'
            )
            raise InvalidOutputError(message)
        self._looked = True

    def __reduce__(self) -> tuple[Any, ...]:
        """Send what it was made of, without the backend."""
        return type(self), (self.temperature, self.output_mode)

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return self.__qualname__


class _Softmax:
    """A backend's own way from scores to probabilities: its ``forward``, with a model that only divides."""

    def __init__(self, backend: Backend, temperature: float) -> None:
        def same(scores: Any) -> Any:
            return scores

        def divided(scores: Any) -> Any:
            return scores / temperature

        self.backend = backend
        self._same, self._divided = (
            backend.hook.load_model(source=source, device=None, options={}) for source in (same, divided)
        )

    def rows(self, scores: Any, output_mode: str, *, divided: bool) -> Any:
        return self.backend.hook.forward(
            model=self._divided if divided else self._same,
            inputs=scores,
            output_mode=output_mode,
            batch_size=int(scores.shape[0]) if len(scores.shape) else 1,
        )
