"""The framework-agnostic backend: any callable, and any object with ``predict_proba``.

An ordinary plugin of the same contract as every other one, found through the same entry points.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator import batches, nests, outputs, posterior
from probly.data_generator.hookspecs import HOST, OutputMode, hookimpl
from probly.data_generator.toolkit.importing import import_model
from probly.data_generator.toolkit.arrays import FLOAT32, MOVES, OPERATIONS, SHARED, is_unchanged, own_copy, read_only
from probly.data_generator.toolkit.samples import Batch, Getter
from probly.data_generator.run.identity import digest_state


@dataclass
class NumpyModel:
    """What ``load_model`` returns.

    Attributes:
        function: What is called per batch.
        source: The object it belongs to.
        class_names: The name of each column, if there is one.
        device: The only one.
        input_device: What the inputs of a batch are moved to.
        spares_inputs: Whether the function leaves its inputs as they are; None before its first batch.
    """

    function: Callable[[Any], Any]
    source: Any
    class_names: list[str] | None
    device: str = "cpu"
    input_device: str = "cpu"
    spares_inputs: bool | None = None
    _tried: bool = False

    def call(self, inputs: Any) -> Any:
        """Call the function with the inputs of a batch, which it must not change.

        Estimators are made for read-only memory, in which parallel jobs share their inputs. The first batch is a copy
        all the same, to be compared: a library underneath may not ask whether it may write.
        """
        if self.spares_inputs:
            try:
                return self.function(inputs) if self._tried else self._try(inputs)
            except Exception:  # noqa: BLE001  # it objects to read-only memory; any other trouble comes again below
                self.spares_inputs = False
        if self.input_device != SHARED:
            return self.function(inputs)
        copied = nests.map_leaves(own_copy, inputs)
        answers = self.function(copied)
        if self.spares_inputs is None:
            spared = all(map(is_unchanged, nests.leaves(copied), nests.leaves(inputs)))
            self.spares_inputs = spared and self.spares_inputs is None  # another thread may have seen otherwise
        return answers

    def _try(self, inputs: Any) -> Any:
        """Call the function with read-only memory for the first time, where a warning is an objection, too."""
        self._tried = True
        if threading.current_thread() is not threading.main_thread():  # who catches warnings does so for all threads
            return self.function(inputs)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answers = self.function(inputs)
        if any("writ" in str(warning.message) for warning in caught):  # "not writable"
            raise ValueError
        for warning in caught:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        return answers


@hookimpl
def load_model(source: Any, device: str | None) -> NumpyModel:
    """Accept a callable, an object with ``predict_proba``, or ``"module:attribute"``."""
    if device not in (None, "cpu", HOST):
        raise ValueError(_unavailable(device))
    if isinstance(source, str | Path):
        source = import_model(str(source))
    function = getattr(source, "predict_proba", source)
    shares = function is not source
    if not callable(function):
        message = f"expected a callable or an object with predict_proba as model, got {type(source).__name__}"
        raise TypeError(message)
    classes = getattr(source, "classes_", None) if shares else None
    names = None if classes is None else [str(name) for name in classes]
    return NumpyModel(function, source, names, input_device=SHARED if shares else "cpu")


def _unavailable(device: str) -> str:
    return f"device {device!r} is not available to backend 'numpy'; available: 'cpu'"


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
    found = batches.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start)
    if isinstance(found, batches.ArrayBatches):
        found.change_inputs(read_only)  # once, where a step per batch would cost more
    return found


@hookimpl
def to_device(data: Any, device: str) -> Any:
    """Return the nest as NumPy arrays, whatever they are made of; for ``"cpu"`` as copies, and tables as they are."""
    if type(data) is np.ndarray:  # what nearly always comes, twice per batch: rows, and inputs that were cut read-only
        if device == HOST and data.dtype is FLOAT32:
            return data
        if device == SHARED and not data.flags.writeable:
            return data
    move = MOVES.get(device)
    if move is None:
        raise ValueError(_unavailable(device))
    return move(data) if type(data) is np.ndarray else nests.map_leaves(move, data)


@hookimpl
def forward(model: NumpyModel, inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
    """Call the model once per batch."""
    if output_mode == "raw":
        return model.function(inputs)
    answers = model.call(inputs)
    if type(answers) is not np.ndarray:
        answers = _array(answers)
    # In memory of its own: the model may return the same array for every batch.
    if output_mode == "probs" and answers.dtype is FLOAT32 and answers.ndim == 2 and answers.shape[1] > 1:
        return answers.copy()  # what rows_of_scores would come to
    if answers.dtype.kind not in "fiubO":  # complex numbers, dates and text would be cast without a word
        answers = _rows(answers)
    return outputs.rows_of_scores(answers, output_mode, OPERATIONS).astype(FLOAT32)


def _array(answers: Any) -> npt.NDArray[Any]:
    """Return what a model answered as an array: pure Python, tables, and what holds logits."""
    if isinstance(answers, list | tuple) or hasattr(answers, "__array__"):
        return _rows(answers)
    found = outputs.unwrap(answers)
    array = np.asarray(found)
    if array.ndim == 0 and array.dtype.kind == "O":  # a sparse matrix
        message = (
            f"Model must return an array, got {outputs.describe(found)}; return its toarray() or set output_transform"
        )
        raise TypeError(message)
    return array


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
