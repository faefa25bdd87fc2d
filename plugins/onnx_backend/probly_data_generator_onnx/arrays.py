"""Arrays on their way in and out, and the dtypes of ONNX in NumPy."""

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnxruntime

from probly.data_generator.toolkit.arrays import NumpyOperations
from probly.data_generator.toolkit.nests import is_table, map_leaves
from probly_data_generator_onnx.devices import check_device

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
BFLOAT16_CODE = 16
"""Its number in ``onnx.TensorProto``."""

DTYPES: Mapping[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(bfloat16)": BFLOAT16,
    **{f"tensor({kind}{bits})": np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
}
"""The dtype that each type of ONNX Runtime's inputs wants."""


def is_float(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype holds floats; NumPy does not know bfloat16 as one."""
    return dtype.kind == "f" or dtype == BFLOAT16


class OnnxOperations(NumpyOperations):
    """NumPy's operations, with bfloat16."""

    def float32(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Cast to float32 without a copy of what is: a session's outputs are ours. float64 is kept till the end."""
        return scores if scores.dtype == np.float64 else scores.astype(np.float32, copy=False)

    def is_half(self, scores: npt.NDArray[Any]) -> bool:
        """Return whether a float dtype has fewer than 32 bits."""
        return is_float(scores.dtype) and scores.dtype.itemsize < 4


OPERATIONS = OnnxOperations()


def to_numpy(leaf: Any) -> Any:
    """Return the NumPy array of an array of any library; tables, whose columns have names, and others as they are."""
    if isinstance(leaf, np.ndarray) or is_table(leaf):
        return leaf
    return np.asarray(leaf) if hasattr(leaf, "__array__") or hasattr(leaf, "__array_interface__") else leaf


def to_target(data: Any, device: str) -> Any:
    """Return a nest as NumPy arrays, which ONNX Runtime copies to its device.

    Raises:
        ValueError: The device is not available; the message lists those that are.
    """
    check_device(device)
    return data if type(data) is np.ndarray else map_leaves(to_numpy, data)


def to_host(leaf: Any) -> Any:
    """Return the NumPy array of an array, half precision as float32."""
    if type(leaf) is np.ndarray and leaf.dtype == np.float32:  # the rows of every batch
        return leaf
    array = np.asarray(leaf) if is_table(leaf) else to_numpy(leaf)
    return array.astype(np.float32) if isinstance(array, np.ndarray) and OPERATIONS.is_half(array) else array


def run_session(session: Any, names: Sequence[str], feeds: Mapping[str, Any], *, bfloat16: bool) -> list[Any]:
    """Return the outputs of these names as NumPy arrays or, for other types, as ONNX Runtime gives them.

    Args:
        session: An InferenceSession.
        names: Which outputs.
        feeds: An array for each input.
        bfloat16: Whether an input or output is of that type, which its plain interface does not know.
    """
    if not bfloat16:
        return list(session.run(names, feeds))
    values = {name: _ort_value(array) for name, array in feeds.items()}
    return [_array(value) for value in session.run_with_ort_values(names, values)]


def _ort_value(array: npt.NDArray[Any]) -> Any:
    if array.dtype != BFLOAT16:
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), BFLOAT16_CODE)


def _array(value: Any) -> Any:
    if value.data_type() != "tensor(bfloat16)":
        return value.numpy()
    shape = value.shape()
    words = np.empty(shape, np.uint16)
    ctypes.memmove(words.ctypes.data, value.data_ptr(), words.nbytes)
    return words.view(BFLOAT16)
