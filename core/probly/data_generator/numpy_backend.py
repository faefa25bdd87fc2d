"""The framework-agnostic backend: any callable, and any object with ``predict_proba``.

An ordinary plugin of the same contract as every other one, found through the same entry points.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator import batches, nests, outputs, posterior
from probly.data_generator.hookspecs import HOST, OutputMode, hookimpl
from probly.data_generator.importing import import_model
from probly.data_generator.samples import Batch, Getter
from probly.data_generator.store.fingerprint import digest_state


class NumpyModel(NamedTuple):
    """What ``load_model`` returns: the function that is called per batch, and the object it belongs to."""

    function: Callable[[Any], Any]
    source: Any
    class_names: list[str] | None
    device: str = "cpu"


class NumpyOperations:
    """The array operations in NumPy; also the reference that the other backends are tested against."""

    def float32(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Cast to float32; float64 is kept, so that softmax loses nothing before the end."""
        return scores if scores.dtype == np.float64 else scores.astype(np.float32)

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


@hookimpl
def load_model(source: Any, device: str | None) -> NumpyModel:
    """Accept a callable, an object with ``predict_proba``, or ``"module:attribute"``."""
    _check_device(device)
    if isinstance(source, str | Path):
        source = import_model(str(source))
    function = getattr(source, "predict_proba", source)
    if not callable(function):
        message = f"expected a callable or an object with predict_proba as model, got {type(source).__name__}"
        raise TypeError(message)
    classes = getattr(source, "classes_", None) if function is not source else None
    return NumpyModel(function, source, None if classes is None else [str(name) for name in classes])


def _check_device(device: str | None) -> None:
    if device not in (None, "cpu", HOST):
        message = f"device {device!r} is not available to backend 'numpy'; available: 'cpu'"
        raise ValueError(message)


@hookimpl
def iterate_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int,
) -> Iterator[Batch]:
    """Iterate over arrays, sequences, iterables and loaders."""
    return batches.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start)


@hookimpl
def to_device(data: Any, device: str) -> Any:
    """Return the nest as NumPy arrays, whatever they are made of; for ``"cpu"`` as copies, and tables as they are."""
    _check_device(device)
    return nests.map_leaves(_to_host if device == HOST else _own_copy, data)


def _to_host(leaf: Any) -> Any:
    array = _to_numpy(leaf)
    return array.astype(np.float32) if isinstance(array, np.ndarray) and array.dtype == np.float16 else array


def _own_copy(leaf: Any) -> Any:
    """Return memory of its own: a model that works in place must change neither the caller's data nor a second try."""
    if nests.is_table(leaf):  # a pipeline picks its columns by name
        return leaf.copy()
    array = _to_numpy(leaf)
    return array.copy() if array is leaf and isinstance(leaf, np.ndarray) else array


def _to_numpy(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return leaf
    # Arrays of other libraries say so by these protocols; everything else is a sample of the user's own type.
    return np.asarray(leaf) if hasattr(leaf, "__array__") or hasattr(leaf, "__array_interface__") else leaf


@hookimpl
def forward(model: NumpyModel, inputs: Any, output_mode: OutputMode) -> Any:
    """Call the model once per batch."""
    answers = model.function(inputs)
    if output_mode == "raw":
        return answers
    if isinstance(answers, list | tuple) or hasattr(answers, "__array__"):  # pure Python, and tables
        answers = _rows(answers)
    scores = np.asarray(outputs.unwrap(answers))
    return outputs.as_probabilities(scores, output_mode, OPERATIONS).astype(np.float32)


def _rows(answers: Any) -> npt.NDArray[Any]:
    try:
        rows = np.asarray(answers)
    except ValueError as error:
        message = f"Model must return rows of one length, got lists of different lengths ({error})"
        raise TypeError(message) from error
    if rows.dtype.kind not in "fiub":
        message = f"Model must return numbers, got {outputs.describe(answers)} of {rows.dtype}; set output_transform"
        raise TypeError(message)
    return rows


@hookimpl
def posterior_params(model: NumpyModel) -> dict[str, dict[str, Any]]:
    """Pair the attributes ``*_mu`` and ``*_rho`` of the model object."""
    layers = posterior.pair_mu_rho(getattr(model.source, "__dict__", {}).items())
    return {layer: {name: np.array(value) for name, value in pair.items()} for layer, pair in layers.items()}


@hookimpl
def weight_digest(model: NumpyModel) -> str:
    """Return the digest of an object's attributes; those of a plain function cannot be seen."""
    return digest_state(model.source)


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the host's memory did not suffice."""
    return isinstance(error, MemoryError)


@hookimpl
def available_devices() -> list[str]:
    """Return the one device that there is."""
    return ["cpu"]
