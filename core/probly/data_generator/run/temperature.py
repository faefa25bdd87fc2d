"""Softmax with a temperature, as an ``output_transform`` for models of any framework."""

import math
from typing import Any

from probly.data_generator.rows import FloatRows
from probly.data_generator.run.scores import ScoreReader, is_half
from probly.data_generator.toolkit.arrays import to_host
from probly.data_generator.toolkit.outputs import pick_scores

OUTPUT_MODES = ("auto", "logits")


class Temperature:
    """Make rows of ``softmax(logits / temperature)``; pass it as ``output_transform``.

    A temperature above 1 makes the distributions flatter, one below 1 makes them sharper (Hinton, Vinyals and Dean,
    Distilling the Knowledge in a Neural Network, arXiv:1503.02531, equation 1; as a calibration method: Guo et al.,
    On Calibration of Modern Neural Networks, arXiv:1706.04599, section 4.2). A single logit per row is divided before
    the logistic function.

    A run divides where it makes its rows, beside the device, and its columns stay those of the model. A store records
    the temperature, so it cannot be continued at another one. Called by hand, it answers at once.

    Args:
        temperature: A finite number above 0.
        output_mode: ``"auto"`` refuses a model whose first batch holds probabilities, because they would be taken
            for logits; ``"logits"`` does not look.

    Raises:
        ValueError: The temperature or the mode is out of its domain.

    Examples:
        >>> import numpy as np
        >>> from probly.data_generator import FirstOrderDataGenerator
        >>> generator = FirstOrderDataGenerator(lambda inputs: inputs, output_transform=Temperature(2.0))
        >>> logits = 2.0 * np.log([[0.25, 0.75]])
        >>> generator.generate_distributions(logits, progress=False)[0]
        array([0.25, 0.75], dtype=float32)
    """

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
        # What a store knows a function by; see run.identity.describe_function.
        self.__qualname__ = f"Temperature({self.temperature!r})"

    def __call__(self, outputs: Any) -> FloatRows:
        """Return the probabilities of a batch of raw model outputs as NumPy's array.

        Args:
            outputs: Logits of shape ``(N, classes)``, ``(N, 1)`` or ``(N,)``, or what holds them; see
                ``toolkit.outputs.pick_scores``. Arrays of a framework must be readable by NumPy.

        Returns:
            float32, shape ``(N, classes)`` or ``(N, 2)``.

        Raises:
            InvalidOutputError: They are probabilities, and ``output_mode`` is ``"auto"``.
            TypeError: The outputs are class labels, or no array.

        Examples:
            >>> import numpy as np
            >>> Temperature(0.5, "logits")(np.array([[0.0, np.log(2.0)]]))
            array([[0.2, 0.8]], dtype=float32)
        """
        found = pick_scores(outputs)
        reader = ScoreReader(self.output_mode, self.temperature)
        return reader.rows_of(to_host(found), repr(self), half=is_half(found.dtype))

    def __reduce__(self) -> tuple[Any, ...]:
        """Send what it was made of."""
        return type(self), (self.temperature, self.output_mode)

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return self.__qualname__
