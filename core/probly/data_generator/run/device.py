"""Batches on their way through the device: out as inputs, back as scores, in as many parts as its memory asks for."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.discovery.loading import Backend
from probly.data_generator.errors import BrokenBackendError, InvalidOutputError
from probly.data_generator.hookspecs import HOST
from probly.data_generator.run.passes import Passes, drawing_from
from probly.data_generator.run.scores import Scores, check_scores, is_half
from probly.data_generator.toolkit.casting import cast_inputs
from probly.data_generator.toolkit.nests import take_rows
from probly.data_generator.toolkit.outputs import Kept, pick_scores
from probly.data_generator.toolkit.samples import Batch


class Answer(NamedTuple):
    """What a model said of one batch or part: its scores on the device, and those of its layers that are kept."""

    scores: Any
    layers: Mapping[str, Any]


class Dispatched(NamedTuple):
    """A batch whose scores the device may still be computing.

    Attributes:
        number: Its place in the run, for messages.
        batch: The batch; its inputs are needed again if the device's memory does not suffice.
        parts: The answers on the device: those to one part, or to several after the memory ran out, each with one
            answer per pass.
        size: The rows per part.
        half: Whether they are computed in half precision.
    """

    number: int
    batch: Batch
    parts: list[list[Answer]]
    size: int
    half: bool


class Fetched(NamedTuple):
    """The answers to a batch in host memory, checked to have one row per sample.

    Attributes:
        scores: Of each pass, shape ``(N,)``, ``(N, classes)`` or, with members of the model's own, ``(N, members,
            classes)``.
        layers: Of each pass, the arrays by the names of the layers.
    """

    scores: list[Scores]
    layers: list[dict[str, npt.NDArray[Any]]]


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
        passes: How often the model is asked about each batch, or None for once, without anything random.
        members: Whether the model's scores have an axis of members, ``(N, members, classes)``.
        batches_from: The backend that makes the batches, where that is another one.
    """

    backend: Backend
    model: Any
    transform: Callable[[Any], Any] | None = None
    largest: int = 0
    limit: int | None = None
    input_dtype: str | None = None
    passes: Passes | None = None
    members: bool = False
    batches_from: Backend | None = None

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
                starts = range(0, rows, size)
                parts = [
                    self._ask(part, int(batch.indices[start]))
                    for start, part in zip(starts, _parts(batch.inputs, rows, size), strict=True)
                ]
            except Exception as error:
                # Leaving the block frees the failed attempt's arrays, which the traceback's frames keep alive.
                if self._halved(error, size, number):
                    continue
                error.add_note(_raised_in(self.where(number), batch))
                raise
            dtype = getattr(parts[0][0].scores, "dtype", None)
            return Dispatched(number, batch, parts, size, is_half(dtype))

    def _ask(self, inputs: Any, first_row: int) -> list[Answer]:
        """Return what the model says of one batch or part in each pass, on the device."""
        if self.batches_from is not None:
            inputs = self.batches_from.answer("to_device", data=inputs, device=HOST)
        if self.passes is None:
            return [self._answer(inputs, None)]
        seeds = [self.passes.seed_of(number, first_row) for number in range(self.passes.count)]
        if self.passes.augment is None:
            return [self._answer(inputs, seed) for seed in seeds]
        answers = []
        for seed in seeds:
            view = self.passes.augment(inputs, seed)
            if view is None:
                message = "augment returned None; let it return another view of all inputs of the batch"
                raise InvalidOutputError(message)
            answers.append(self._answer(view, None))
        return answers

    def _answer(self, inputs: Any, seed: int | None) -> Answer:
        """Return one answer, in memory that nothing else writes to."""
        device = self.model.device
        on_device = self.moved(inputs, device)
        if self.input_dtype is not None:
            on_device = cast_inputs(on_device, self.input_dtype)
        # What is padded must be cut again, and only the scores can be: output_transform reads all that there is.
        padded = min(self.largest, self.limit or self.largest) if self.transform is None else None
        asked = {"model": self.model, "inputs": on_device, "batch_size": padded}
        hook = "forward" if seed is None else "stochastic_forward"
        if seed is None:
            outputs = self.backend.hook.forward(**asked)
        else:
            with drawing_from(seed):
                outputs = self.backend.hook.stochastic_forward(**asked, seed=seed)
        if outputs is None:
            message = f"backend {self.backend.info.name!r}: hook {hook} returned None; expected the model's outputs"
            raise BrokenBackendError(message)
        layers: Mapping[str, Any] = {}
        if isinstance(outputs, Kept):
            outputs, layers = outputs.outputs, outputs.layers
        scores = pick_scores(outputs) if self.transform is None else self.transform(outputs)
        # Copies: a model may use the memory of its outputs again before they are collected, one batch later.
        return Answer(self.moved(scores, device), {name: self.moved(part, device) for name, part in layers.items()})

    def moved(self, data: Any, device: str) -> Any:
        """Return a nest on a device, or on the host."""
        moved = self.backend.hook.to_device(data=data, device=device)
        if moved is None and data is not None:
            message = f"backend {self.backend.info.name!r}: hook to_device returned None; expected the nest that it got"
            raise BrokenBackendError(message)
        return moved

    def fetch(self, dispatched: Dispatched) -> Fetched:
        """Wait for a batch and return its scores in host memory, checked to be one per row."""
        while True:
            number, batch, parts, size, _ = dispatched
            rows, where = len(batch.indices), self.where(dispatched.number)
            expected = [min(size, rows - start) for start in range(0, rows, size)]
            try:
                hosted = [
                    [self._hosted(answer, count, where) for answer in part]
                    for part, count in zip(parts, expected, strict=True)
                ]
                joined = (
                    hosted[0]
                    if len(hosted) == 1
                    else [_joined(of_pass, where) for of_pass in zip(*hosted, strict=True)]
                )
                return Fetched([answer.scores for answer in joined], [dict(answer.layers) for answer in joined])
            except Exception as error:
                # Asynchronous devices report a failure of the computation only when its result is fetched.
                if not self._halved(error, size, number):
                    if where not in str(error):  # the checks name it themselves
                        error.add_note(_raised_in(where, batch))
                    raise
            dispatched = self.dispatch(number, batch)

    def _hosted(self, answer: Answer, rows: int, where: str) -> Answer:
        scores = check_scores(self.moved(answer.scores, HOST), rows, where, members=self.members)
        layers = {name: np.asarray(self.moved(part, HOST)) for name, part in answer.layers.items()}
        for name, part in layers.items():
            if part.ndim == 0 or len(part) != rows or part.dtype.kind not in "fiub":
                message = (
                    f"{where}: layer {name!r}: expected numbers for {rows} rows, got {part.dtype}{list(part.shape)}"
                )
                raise InvalidOutputError(message)
        return Answer(scores, layers)

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


def _raised_in(where: str, batch: Batch) -> str:
    """Say where: batches are counted from where a shard or a later run begins, samples from that of the dataset."""
    return f"raised in {where}, whose first sample is {batch.indices[0]}"


def _parts(inputs: Any, rows: int, size: int) -> list[Any]:
    if size == rows:  # the inputs as they are
        return [inputs]
    return [take_rows(inputs, slice(start, min(start + size, rows)), rows) for start in range(0, rows, size)]


def _joined(parts: Sequence[Answer], where: str) -> Answer:
    shapes = {part.scores.shape[1:] for part in parts}
    if len(shapes) > 1:
        message = f"{where}: expected equally many classes for all rows, got {sorted(shapes)}"
        raise InvalidOutputError(message)
    layers = {name: np.concatenate([part.layers[name] for part in parts]) for name in parts[0].layers}
    return Answer(np.concatenate([part.scores for part in parts]), layers)
