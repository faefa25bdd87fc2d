"""NumPy's side of the framework-agnostic backend: the operations, and moving arrays without changing the caller's."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from probly.data_generator import nests
from probly.data_generator.hookspecs import HOST

SHARED = "cpu, read-only"
"""What ``to_device`` takes for "the CPU, without a copy"; the arrays cannot be written to."""


class NumpyOperations:
    """The array operations in NumPy; also the reference that the other backends are tested against."""

    def float32(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Cast to float32; float64 is kept, so that softmax loses nothing before the end."""
        return scores if scores.dtype in (FLOAT32, FLOAT64) else scores.astype(np.float32)

    def is_half(self, scores: npt.NDArray[Any]) -> bool:
        """Return whether the dtype is float16."""
        return scores.dtype == np.float16

    def softmax(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Softmax over the last axis, with the maximum subtracted."""
        with np.errstate(invalid="ignore"):  # infinities become NaN, which the row check reports with its index
            exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
        normalised: npt.NDArray[Any] = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return normalised

    def sigmoid(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Logistic function; written with tanh, which does not overflow."""
        logistic: npt.NDArray[Any] = 0.5 * (1.0 + np.tanh(0.5 * scores))
        return logistic

    def two_columns(self, first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Stack two arrays of shape (N,) to (N, 2)."""
        return np.stack([first, second], axis=-1)

    def renormalise(self, rows: npt.NDArray[Any], tolerance: float) -> npt.NDArray[Any]:
        """Divide each row by its sum where that is nearly 1."""
        sums = rows.sum(axis=-1, keepdims=True)
        divisors = np.where(np.abs(sums - 1.0) <= tolerance, sums, np.ones_like(sums))
        nearly: npt.NDArray[Any] = rows / divisors
        return nearly


OPERATIONS = NumpyOperations()
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def _to_host(leaf: Any) -> Any:
    array = _to_numpy(leaf)
    return array.astype(np.float32) if isinstance(array, np.ndarray) and array.dtype == np.float16 else array


def own_copy(leaf: Any) -> Any:
    """Return memory of its own: a model that works in place must change neither the caller's data nor a second try."""
    if nests.is_table(leaf):  # a pipeline picks its columns by name
        return leaf.copy()
    array = _to_numpy(leaf)
    return array.copy() if isinstance(array, np.ndarray) else array


def read_only(leaf: Any) -> Any:
    """Return a view that nobody can write to in place of an array; other leaves as they are, masked arrays included."""
    if type(leaf) not in (np.ndarray, np.memmap) or (type(leaf) is np.ndarray and not leaf.flags.writeable):
        return leaf
    view = leaf.view(np.ndarray)
    view.setflags(write=False)
    return view


def _shared(leaf: Any) -> Any:
    """Return memory that cannot be written to: the caller's own where numpy can see to that."""
    view = read_only(leaf)
    return view if type(view) is np.ndarray else own_copy(leaf)


def _to_numpy(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return leaf
    # Arrays of other libraries say so by these protocols; everything else is a sample of the user's own type.
    return np.asarray(leaf) if hasattr(leaf, "__array__") or hasattr(leaf, "__array_interface__") else leaf


MOVES: Final[Mapping[str, Callable[[Any], Any]]] = {HOST: _to_host, "cpu": own_copy, SHARED: _shared}
"""How a leaf gets to each device."""


def is_unchanged(copied: Any, original: Any) -> bool:
    """Return whether a copy that a model got still has the original's numbers."""
    if not isinstance(original, np.ndarray):
        return True
    if original.dtype.kind not in "biufc":
        return False
    plain = type(copied) is type(original) is np.ndarray and copied.shape == original.shape
    # NaN takes longer to compare, and is rare.
    return bool(plain and np.logical_and.reduce(copied == original, axis=None)) or np.array_equal(
        copied, original, equal_nan=True
    )
