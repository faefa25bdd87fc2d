"""Batches on their way through the device: out as inputs, back as scores, in as many parts as its memory asks for."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from probly.data_generator.discovery.loading import Backend
from probly.data_generator.errors import BrokenBackendError, InvalidOutputError
from probly.data_generator.hookspecs import HOST
from probly.data_generator.run.scores import Scores, check_scores, is_half
from probly.data_generator.toolkit.casting import cast_inputs
from probly.data_generator.toolkit.nests import take_rows
from probly.data_generator.toolkit.outputs import pick_scores
from probly.data_generator.toolkit.samples import Batch


class Dispatched(NamedTuple):
    """A batch whose scores the device may still be computing.

    Attributes:
        number: Its place in the run, for messages.
        batch: The batch; its inputs are needed again if the device's memory does not suffice.
        parts: The scores on the device: one part, or several after the memory ran out.
        size: The rows per part.
        half: Whether they are computed in half precision.
    """

    number: int
    batch: Batch
    parts: list[Any]
    size: int
    half: bool


@dataclass
class Device:
    """Takes batches to the device, runs the model over them, and brings its scores back.

    Attributes:
        backend: The hooks.
        model: What ``load_model`` returned.
        transform: The user's ``output_transform``, or None.
        largest: The rows of the largest batch so far; compiled backends pad to it.
        limit: The rows that fit on the device, once it has run out of memory.
        input_dtype: What the inputs are cast to on the device, or None for as they are.
    """

    backend: Backend
    model: Any
    transform: Callable[[Any], Any] | None = None
    largest: int = 0
    limit: int | None = None
    input_dtype: str | None = None

    def where(self, number: int) -> str:
        """Name a batch in messages."""
        return f"backend {self.backend.info.name!r}, batch {number}"

    def dispatch(self, number: int, batch: Batch) -> Dispatched:
        """Run the model over a batch without waiting for the device."""
        rows = len(batch.indices)
        self.largest = max(self.largest, rows)
        while True:
            size = min(rows, self.limit or rows)
            try:
                parts = [self._scores(part) for part in _parts(batch.inputs, rows, size)]
            except Exception as error:
                # Leaving the block frees the failed attempt's arrays, which the traceback's frames keep alive.
                if self._halved(error, size, number):
                    continue
                error.add_note(f"raised in {self.where(number)}")
                raise
            return Dispatched(number, batch, parts, size, is_half(parts[0].dtype) if _has_dtype(parts[0]) else False)

    def _scores(self, inputs: Any) -> Any:
        """Return the scores of one batch or part, on the device, in memory that nothing else writes to."""
        device = self.model.device
        on_device = self.moved(inputs, device)
        if self.input_dtype is not None:
            on_device = cast_inputs(on_device, self.input_dtype)
        # What is padded must be cut again, and only the scores can be: output_transform reads all that there is.
        padded = min(self.largest, self.limit or self.largest) if self.transform is None else None
        outputs = self.backend.hook.forward(model=self.model, inputs=on_device, batch_size=padded)
        if outputs is None:
            message = f"backend {self.backend.info.name!r}: hook forward returned None; expected the model's outputs"
            raise BrokenBackendError(message)
        scores = pick_scores(outputs) if self.transform is None else self.transform(outputs)
        # A copy: a model may use the memory of its outputs again before they are collected, one batch later.
        return self.moved(scores, device)

    def moved(self, data: Any, device: str) -> Any:
        """Return a nest on a device, or on the host."""
        moved = self.backend.hook.to_device(data=data, device=device)
        if moved is None and data is not None:
            message = f"backend {self.backend.info.name!r}: hook to_device returned None; expected the nest that it got"
            raise BrokenBackendError(message)
        return moved

    def fetch(self, dispatched: Dispatched) -> Scores:
        """Wait for a batch and return its scores in host memory, checked to be one per row."""
        while True:
            number, batch, parts, size, _ = dispatched
            rows = len(batch.indices)
            expected = [min(size, rows - start) for start in range(0, rows, size)]
            try:
                hosted = [
                    check_scores(self.moved(part, HOST), count, self.where(number))
                    for part, count in zip(parts, expected, strict=True)
                ]
                return hosted[0] if len(hosted) == 1 else _joined(hosted, self.where(number))
            except Exception as error:
                # Asynchronous devices report a failure of the computation only when its result is fetched.
                if not self._halved(error, size, number):
                    where = self.where(number)
                    if where not in str(error):  # the checks name it themselves
                        error.add_note(f"raised in {where}")
                    raise
            dispatched = self.dispatch(number, batch)

    def _halved(self, error: Exception, size: int, number: int) -> bool:
        """Return whether the device ran out of memory with more than one row; if so, remember half of its size."""
        if size == 1 or isinstance(error, InvalidOutputError) or not self.backend.has("is_out_of_memory"):
            return False
        if not self.backend.hook.is_out_of_memory(error=error):
            return False
        if self.limit is None:
            message = f"{self.where(number)}: the device ran out of memory; continuing with smaller batches"
            warnings.warn(message, stacklevel=2)
        # A batch that was under way when another one failed must not halve the limit again.
        self.limit = min(self.limit or size, size // 2)
        return True


def _parts(inputs: Any, rows: int, size: int) -> list[Any]:
    if size == rows:  # the inputs as they are
        return [inputs]
    return [take_rows(inputs, slice(start, min(start + size, rows)), rows) for start in range(0, rows, size)]


def _has_dtype(scores: Any) -> bool:
    return hasattr(scores, "dtype")


def _joined(parts: list[Scores], where: str) -> Scores:
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        message = f"{where}: expected equally many classes for all rows, got {sorted(shapes)}"
        raise InvalidOutputError(message)
    return np.concatenate(parts)
