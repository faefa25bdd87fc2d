"""Inputs and outputs of a model: their names, shapes and dtypes, and what integers of theirs stand for."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.toolkit.feeds import UNSCALED, Input, cast

Array = npt.NDArray[Any]


@dataclass
class Tensor:
    """An input or output.

    Attributes:
        name: The signature's name for it, or the tensor's own where there is no signature.
        index: Its place among the tensors of its graph.
        dtype: The dtype of its arrays.
        shape: Its axes; None for one that may have any length.
        scale: What an integer counts, or None where numbers are what they are.
        zero_point: The integer that stands for 0.
        warned: Whether numbers that it cannot hold have been told of.
    """

    name: str
    index: int
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    scale: np.float32 | None = None
    zero_point: int = 0
    warned: bool = field(default=False, compare=False)

    @property
    def input(self) -> Input:
        """The tensor for ``toolkit.feeds``, where texts have the dtype object."""
        dtype = np.dtype(object) if self.dtype.kind == "S" else self.dtype
        kind = "text" if self.dtype.kind == "S" else f"{self.dtype.name}{'' if self.scale is None else ', quantised'}"
        return Input(self.name, kind, dtype, self.shape)

    def convert(self, array: Array) -> Array:
        """Return what goes into the tensor: real numbers quantised, integers of its own dtype as they are.

        Raises:
            ValueError: They are neither.
        """
        if self.scale is None:
            return cast(array, self.input)
        if array.dtype == self.dtype:
            return array
        if array.dtype.kind != "f":
            message = (
                f"input {self.name!r}: the model takes floats, which are quantised by its scale, or its own "
                f"{self.dtype} as they are, got {array.dtype}; {UNSCALED}"
            )
            raise ValueError(message)
        return self._quantised(array)

    def _quantised(self, array: Array) -> Array:
        """Round to the nearest number that the tensor can hold, as LiteRT's own operator QUANTIZE does.

        What lies beyond the least and the largest becomes these: calibration leaves outliers outside on purpose. As it
        may also be a scale of another kind, it is told once, with its number.
        """
        if np.isnan(array).any():
            message = f"input {self.name!r}: expected numbers, got NaN, for which the model's {self.dtype} has no value"
            raise ValueError(message)
        # In float64, so that adding a half is exact; halves go away from zero.
        counts = (array.astype(np.float32) / np.float32(self.scale)).astype(np.float64)
        rounded = np.copysign(np.floor(np.abs(counts) + 0.5), counts) + self.zero_point
        limits = np.iinfo(self.dtype)
        beyond = int(np.count_nonzero((rounded < limits.min) | (rounded > limits.max)))
        if beyond and not self.warned:
            self.warned = True
            least, largest = self.real(np.array([limits.min, limits.max], self.dtype)).tolist()
            message = (
                f"input {self.name!r}: {beyond} of the {rounded.size} numbers of a batch are beyond [{least:.4g}, "
                f"{largest:.4g}], which is all that the model's {self.dtype} can hold, and were cut to it; if they are "
                "most of them, the model wants another scale, such as pixels in [0, 1]: set input_getter"
            )
            warnings.warn(message, stacklevel=2)
        quantised: Array = np.clip(rounded, limits.min, limits.max).astype(self.dtype)
        return quantised

    def real(self, array: Array) -> Array:
        """Return the numbers that the integers of a quantised tensor stand for; others are what they are."""
        if self.scale is None:
            return array
        real: Array = (array.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)
        return real


def tensor_of(name: str, details: Mapping[str, Any], *, resizable: bool) -> Tensor:
    """Return an input or output from what LiteRT tells of it.

    Args:
        name: Its name.
        details: An entry of ``get_input_details()`` or ``get_output_details()``.
        resizable: Whether axes without a fixed length may get another than they have now.

    Raises:
        ValueError: It is quantised with several scales, which no input or output of a classifier should be.
    """
    scales, zeros = (np.asarray(details["quantization_parameters"][key]) for key in ("scales", "zero_points"))
    if len(scales) > 1:
        message = (
            f"{name!r} is quantised with {len(scales)} scales, expected one for the whole tensor; convert it again"
        )
        raise ValueError(message)
    signature = details.get("shape_signature", details["shape"]) if resizable else details["shape"]
    shape = tuple(None if axis < 0 else int(axis) for axis in signature)
    dtype = np.dtype(details["dtype"])
    quantised = len(scales) == 1 and dtype.kind in "iu"
    return Tensor(
        name,
        int(details["index"]),
        dtype,
        shape,
        np.float32(scales[0]) if quantised else None,
        int(zeros[0]) if quantised else 0,
    )
