"""One run: dispatch a batch, collect the one before it, check every row.

A batch is collected after the next has been dispatched: frameworks compute asynchronously, so this alone overlaps
computing with copying.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from probly.data_generator.backends import Backend
from probly.data_generator.calling import direct
from probly.data_generator.checking import Collected, in_groups, joined
from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.hookspecs import HOST
from probly.data_generator.nests import collate, take_rows
from probly.data_generator.outputs import (
    FloatRows,
    check_shape,
    find_bad_row,
    may_be_probabilities,
    mostly_probabilities,
)
from probly.data_generator.samples import Batch


class Dispatched(NamedTuple):
    """A batch whose rows the device may still be computing.

    Attributes:
        number: Its place in the run, for messages.
        batch: The batch.
        mode: The output mode that it was dispatched with.
        size: The rows per part.
        parts: The device's outputs: one part, or several after the memory ran out.
    """

    number: int
    batch: Batch
    mode: str
    size: int
    parts: list[Any]


@dataclass
class Run:
    """The state of one run.

    Attributes:
        backend: The hooks.
        model: What ``load_model`` returned.
        output_mode: ``"auto"`` until the first batch decides.
        output_transform: Replaces ``output_mode`` if given.
        decided: Whether ``"auto"`` was asked for and has been decided.
        full_batch: The rows of the largest batch so far; compiled backends pad to it.
        limit: The rows that fit on the device, once it has run out of memory.
        join: Whether small batches that came soon after each other may be handed on as one.
    """

    backend: Backend
    model: Any
    output_mode: str
    output_transform: Callable[[Any], Any] | None = None
    decided: bool = False
    full_batch: int = 0
    limit: int | None = None
    join: bool = False

    def __post_init__(self) -> None:
        """Look up once what is called per batch."""
        self._to_device = direct(self.backend.hook.to_device)
        self._call_model = direct(self.backend.hook.forward)
        self._input_device = getattr(self.model, "input_device", self.model.device)

    def rows(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, FloatRows]]:
        """Yield the batches with their checked rows."""
        for group in in_groups(self._collected(batches)):
            whole = joined(group) if len(group) > 1 else None
            checked = whole is not None and find_bad_row(whole.rows) is None
            for number, batch, rows in [whole] if whole and checked and self.join else group:
                bad = None if checked else find_bad_row(rows)
                if bad:
                    raise InvalidOutputError(self._explain(bad.position, bad.reason, batch, self.where(number)))
                yield batch, rows

    def _collected(self, batches: Iterable[Batch]) -> Iterator[Collected]:
        """Yield the rows of each batch, one batch behind the device."""
        waiting: Dispatched | None = None
        for number, batch in enumerate(batches):
            if len(batch.indices) == 0:
                continue
            if self.output_mode == "auto" and self.output_transform is None:
                self._decide(number, batch)
            dispatched = self._dispatch(number, self._with_host_labels(batch))
            if waiting is not None:
                yield self._collect(waiting)
            waiting = dispatched
        if waiting is not None:
            yield self._collect(waiting)

    def _with_host_labels(self, batch: Batch) -> Batch:
        """Copy the labels at once: rows are collected a batch later, when a loader may have reused its memory."""
        if batch.labels is None:
            return batch
        labels = batch.labels
        if not isinstance(labels, np.ndarray):
            labels = self._to_device(data=labels, device=HOST)
        if isinstance(labels, list | tuple) or (isinstance(labels, np.ndarray) and labels.dtype.kind == "O"):
            labels = collate(list(labels))  # text in a table is an array of objects
        return Batch(batch.indices, batch.inputs, labels.copy() if isinstance(labels, np.ndarray) else labels)

    def probabilities(self, batch: Batch) -> Any:
        """Return the rows of one batch unchecked, as the framework's array on the device."""
        if self.output_mode == "auto":
            self._decide(0, batch)
        return self._forward(0, batch.inputs, self.output_mode)

    def where(self, number: int) -> str:
        """Name a batch in messages."""
        return f"backend {self.backend.info.name!r}, batch {number}"

    def _decide(self, number: int, batch: Batch) -> None:
        """Settle "auto" once per run: probabilities if every row of the first batch is a distribution as it stands."""
        rows = self._host_rows(self._dispatch(number, batch, "probs"))
        bad = find_bad_row(rows)
        if bad and mostly_probabilities(rows):
            message = (
                f"{self.where(number)}, index {batch.indices[bad.position]}: most rows of the first batch look like "
                f'probabilities, but in this one {bad.reason}; set output_mode to "probs" or "logits"'
            )
            raise InvalidOutputError(message)
        self.output_mode = "logits" if bad else "probs"
        self.decided = True

    def _dispatch(self, number: int, batch: Batch, mode: str | None = None) -> Dispatched:
        """Run the model over a batch, in as many parts as the device's memory asks for."""
        rows = len(batch.indices)
        self.full_batch = max(self.full_batch, rows)
        mode = mode or ("raw" if self.output_transform else self.output_mode)
        while True:
            size = min(rows, self.limit or rows)
            parts = self._parts(number, batch, mode, size)
            if parts is not None:
                return Dispatched(number, batch, mode, size, parts)

    def _parts(self, number: int, batch: Batch, mode: str, size: int) -> list[Any] | None:
        """Return the device's outputs, or None after its memory did not suffice and the limit has been halved."""
        rows = len(batch.indices)
        parts: list[Any] = []
        try:
            if size == rows:  # the inputs as they are
                return [self._forward(number, batch.inputs, mode)]
            for start in range(0, rows, size):
                part = slice(start, min(start + size, rows))
                parts.append(self._forward(number, take_rows(batch.inputs, part, rows), mode))
        except Exception as error:
            # Leaving the block frees the failed attempt's arrays, which the traceback's frames keep alive.
            if self._halved(error, size, number):
                return None
            error.add_note(f"raised in {self.where(number)}")
            raise
        return parts

    def _forward(self, number: int, inputs: Any, mode: str) -> Any:
        # Raw outputs may hold the inputs' own memory, to which output_transform may write.
        device = self.model.device if mode == "raw" else self._input_device
        on_device = self._to_device(data=inputs, device=device)
        full_batch = min(self.full_batch, self.limit or self.full_batch)
        outputs = self._call_model(model=self.model, inputs=on_device, output_mode=mode, batch_size=full_batch)
        if outputs is None:
            message = f"{self.where(number)}: hook forward returned None; expected one row per input"
            raise InvalidOutputError(message)
        if mode == "raw":
            assert self.output_transform is not None
            # A copy: a model may reuse the memory of its outputs before they are collected.
            outputs = self._to_device(data=self.output_transform(outputs), device=self.model.device)
        return outputs

    def _halved(self, error: Exception, size: int, number: int) -> bool:
        """Return whether the device ran out of memory with more than one row; if so, remember half of its size."""
        if size == 1 or not self.backend.has("is_out_of_memory"):
            return False
        if not self.backend.hook.is_out_of_memory(error=error):
            return False
        if self.limit is None:
            message = f"{self.where(number)}: the device ran out of memory; going on with smaller batches"
            warnings.warn(message, stacklevel=2)
        # A batch that was under way when another one failed must not halve the limit again.
        self.limit = min(self.limit or size, size // 2)
        return True

    def _host_rows(self, dispatched: Dispatched) -> FloatRows:
        """Wait for a batch and return its rows in host memory."""
        while True:
            try:
                return self._to_host(dispatched)
            except InvalidOutputError:
                raise
            except Exception as error:
                # Asynchronous devices report a failure of the computation only when its result is fetched.
                if not self._halved(error, dispatched.size, dispatched.number):
                    error.add_note(f"raised in {self.where(dispatched.number)}")
                    raise
            dispatched = self._dispatch(dispatched.number, dispatched.batch, dispatched.mode)

    def _to_host(self, dispatched: Dispatched) -> FloatRows:
        hosted = [self._to_device(data=part, device=HOST) for part in dispatched.parts]
        rows = hosted[0] if len(hosted) == 1 else np.concatenate(hosted)
        expected = len(dispatched.batch.indices)
        if type(rows) is np.ndarray and rows.dtype == np.float32 and rows.ndim == 2 and len(rows) == expected:
            return rows
        return check_shape(rows, expected, self.where(dispatched.number))

    def _collect(self, dispatched: Dispatched) -> Collected:
        rows = self._host_rows(dispatched)
        number, batch = dispatched.number, dispatched.batch
        if self.decided and self.output_mode == "logits" and len(rows) > 1 and may_be_probabilities(rows):
            self._check_decision(number, batch)
        return Collected(number, batch, rows)

    def _check_decision(self, number: int, batch: Batch) -> None:
        """Refuse a batch of probabilities in a run whose first batch held logits."""
        # Two rows tell nearly always; only if they are distributions is the whole batch worth another pass.
        two = Batch(batch.indices[:2], take_rows(batch.inputs, slice(0, 2), len(batch.indices)))
        if all(self._holds_probabilities(number, part) for part in (two, batch)):
            message = (
                f"{self.where(number)}: its outputs are probabilities, but those of the first batch were logits; "
                'set output_mode to "logits" or "probs"'
            )
            raise InvalidOutputError(message)

    def _holds_probabilities(self, number: int, batch: Batch) -> bool:
        return find_bad_row(self._host_rows(self._dispatch(number, batch, "probs"))) is None

    def _explain(self, position: int, reason: str, batch: Batch, where: str) -> str:
        remedy = "return logits or probabilities without NaN"
        if self.output_transform:
            remedy = "output_transform must return probabilities"
        elif self.output_mode == "probs":
            remedy = 'set output_mode="logits" if the model returns logits, or output_transform'
            if self.decided:
                remedy = f"the first batch held probabilities (output_mode='auto'); {remedy}"
        return f"{where}, index {batch.indices[position]}: the row is no distribution, {reason}; {remedy}"
