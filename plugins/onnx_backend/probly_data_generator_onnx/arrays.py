"""The dtypes of ONNX in NumPy, and casting an input to the one that a model wants, where that keeps its meaning."""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
BFLOAT16_TYPE = "tensor(bfloat16)"

DTYPES: Mapping[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    BFLOAT16_TYPE: BFLOAT16,
    **{f"tensor({kind}{bits})": np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
}
"""The dtype that each type of ONNX Runtime's inputs wants."""


def is_float(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype holds floats; NumPy does not know bfloat16 as one."""
    return dtype.kind == "f" or dtype == BFLOAT16


def cast(array: npt.NDArray[Any], dtype: np.dtype[Any], name: str) -> npt.NDArray[Any]:
    """Return an array in the dtype of an input, where that keeps its meaning.

    Floats are cast to floats, as every framework's default of float32 wants it from NumPy's float64, and integers to
    integers that hold every value. Nothing else is guessed: integers as floats may need a scale.

    Args:
        array: The array; text has the dtype object, or one of NumPy's for text.
        dtype: The wanted dtype; object stands for text.
        name: The name of the input, for messages.

    Raises:
        ValueError: The dtype does not fit.

    Examples:
        >>> cast(np.array([3, 4], dtype=np.int32), np.dtype(np.int64), "input_ids")
        array([3, 4])
    """
    if array.dtype == dtype and dtype.kind != "O":
        return array  # a dtype with the other byte order compares as different, and gets cast below
    if is_float(array.dtype) and is_float(dtype):
        return array.astype(dtype)
    if array.dtype.kind in "iu" and dtype.kind in "iu" and _holds(dtype, array):
        return array.astype(dtype)
    if dtype.kind == "O" and (array.dtype.kind in "UT" or all(isinstance(text, str) for text in array.flat)):
        return array.astype(dtype)
    message = f"input {name!r}: the model wants {_type_name(dtype)}, got {array.dtype}; {_dtype_hint(array, dtype)}"
    raise ValueError(message)


def _holds(dtype: np.dtype[Any], array: npt.NDArray[Any]) -> bool:
    limits = np.iinfo(dtype)
    return array.size == 0 or bool(int(array.min()) >= limits.min and int(array.max()) <= limits.max)


def _type_name(dtype: np.dtype[Any]) -> str:
    return "text" if dtype.kind == "O" else str(dtype)


def _dtype_hint(array: npt.NDArray[Any], dtype: np.dtype[Any]) -> str:
    if array.dtype.kind in "iu" and is_float(dtype):
        scaled = f"input_getter=lambda sample: sample[0].astype({str(dtype)!r}) / 255"
        return f"whether to scale it is not guessed: for pixels in [0, 1] set {scaled}, else the same without / 255"
    if array.dtype.kind in "iu" and dtype.kind in "iu":
        return f"its values from {array.min()} to {array.max()} do not fit"
    return "convert it in input_getter"
