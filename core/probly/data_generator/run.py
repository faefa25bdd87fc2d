"""One run: dispatch a batch, collect the one before it, check every row.

A batch is collected after the next has been dispatched: frameworks compute asynchronously, so this alone overlaps
computing with copying.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from probly.data_generator.backends import Backend
from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.hookspecs import HOST
from probly.data_generator.nests import take_rows
from probly.data_generator.outputs import FloatRows, check_shape, find_bad_row, may_be_probabilities
from probly.data_generator.samples import Batch


class Dispatched(NamedTuple):
    """A batch whose rows the device may still be computing, in one part or, after halving, several."""

    number: int
    batch: Batch
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
    """

    backend: Backend
    model: Any
    output_mode: str
    output_transform: Callable[[Any], Any] | None = None
    decided: bool = False
    full_batch: int = 0
    limit: int | None = field(default=None)

    def rows(self, batches: Iterable[Batch]) -> Iterator[tuple[Batch, FloatRows]]:
        """Yield each batch with its checked rows, one batch behind the device."""
        waiting: Dispatched | None = None
        for number, batch in enumerate(batches):
            if len(batch.indices) == 0:
                continue
            if self.output_mode == "auto" and self.output_transform is None:
                self._decide(number, batch)
            dispatched = self._dispatch(number, batch)
            if waiting is not None:
                yield waiting.batch, self._collect(waiting)
            waiting = dispatched
        if waiting is not None:
            yield waiting.batch, self._collect(waiting)

    def probabilities(self, batch: Batch) -> Any:
        """Return the rows of one batch unchecked, as the framework's array on the device."""
        if self.output_mode == "auto":
            self._decide(0, batch)
        (rows,) = self._parts(0, batch, self.output_mode)
        return rows

    def where(self, number: int) -> str:
        """Name a batch in messages."""
        return f"backend {self.backend.info.name!r}, batch {number}"

    def _decide(self, number: int, batch: Batch) -> None:
        """Settle "auto" once per run: probabilities if every row of the first batch is a distribution as it stands."""
        rows = self._host_rows(number, batch, "probs")
        self.output_mode = "logits" if find_bad_row(rows) else "probs"
        self.decided = True

    def _host_rows(self, number: int, batch: Batch, mode: str) -> FloatRows:
        return self._to_host(self._parts(number, batch, mode), len(batch.indices), self.where(number))

    def _dispatch(self, number: int, batch: Batch) -> Dispatched:
        return Dispatched(number, batch, self._parts(number, batch, self._mode()))

    def _mode(self) -> str:
        return "raw" if self.output_transform else self.output_mode

    def _parts(self, number: int, batch: Batch, mode: str) -> list[Any]:
        """Run the model over a batch, in as many parts as the device's memory asks for."""
        rows = len(batch.indices)
        self.full_batch = max(self.full_batch, rows)
        parts: list[Any] = []
        start = 0
        while start < rows:
            stop = min(start + (self.limit or rows), rows)
            whole = start == 0 and stop == rows
            part = self._attempt(number, batch.inputs if whole else take_rows(batch.inputs, slice(start, stop)), mode)
            if part is None:
                self._halve(stop - start, number)
                continue
            parts.append(part)
            start = stop
        return parts

    def _attempt(self, number: int, inputs: Any, mode: str) -> Any | None:
        """Return the device's outputs, or None if its memory did not suffice."""
        try:
            return self._forward(number, inputs, mode)
        except Exception as error:
            # Only here: the frames that the traceback holds keep the failed attempt's arrays alive.
            if self._out_of_memory(error):
                return None
            error.add_note(f"raised in {self.where(number)}")
            raise

    def _forward(self, number: int, inputs: Any, mode: str) -> Any:
        hook = self.backend.hook
        on_device = hook.to_device(data=inputs, device=self.model.device)
        full_batch = min(self.full_batch, self.limit or self.full_batch)
        outputs = hook.forward(model=self.model, inputs=on_device, output_mode=mode, batch_size=full_batch)
        if outputs is None:
            message = f"{self.where(number)}: hook forward returned None; expected one row per input"
            raise InvalidOutputError(message)
        if mode == "raw":
            assert self.output_transform is not None
            outputs = self.output_transform(outputs)
        return outputs

    def _out_of_memory(self, error: Exception) -> bool:
        if not self.backend.has("is_out_of_memory") or not self.backend.hook.is_out_of_memory(error=error):
            return False
        return self.limit is None or self.limit > 1

    def _halve(self, rows: int, number: int) -> None:
        if self.limit is None:
            message = f"{self.where(number)}: the device ran out of memory; going on with smaller batches"
            warnings.warn(message, stacklevel=2)
        self.limit = max(1, rows // 2)

    def _collect(self, dispatched: Dispatched) -> FloatRows:
        number, batch, parts = dispatched
        where = self.where(number)
        try:
            rows = self._to_host(parts, len(batch.indices), where)
        except Exception as error:
            # Asynchronous devices report a failure of the computation only when its result is fetched.
            if not self._out_of_memory(error):
                raise
            rows = None
        if rows is None:
            self._halve(min(len(batch.indices), self.limit or len(batch.indices)), number)
            rows = self._host_rows(number, batch, self._mode())
        bad = find_bad_row(rows)
        if bad:
            raise InvalidOutputError(self._explain(bad.position, bad.reason, batch, where))
        if self.decided and self.output_mode == "logits" and len(rows) > 1 and may_be_probabilities(rows):
            self._check_decision(number, batch)
        return rows

    def _to_host(self, parts: list[Any], expected: int, where: str) -> FloatRows:
        hosted = [self.backend.hook.to_device(data=part, device=HOST) for part in parts]
        rows = hosted[0] if len(hosted) == 1 else np.concatenate(hosted)
        return check_shape(rows, expected, where)

    def _check_decision(self, number: int, batch: Batch) -> None:
        """Refuse a batch of probabilities in a run whose first batch held logits."""
        # Two rows tell nearly always; only if they are distributions is the whole batch worth another pass.
        two = Batch(batch.indices[:2], take_rows(batch.inputs, slice(0, 2)))
        if all(find_bad_row(self._host_rows(number, part, "probs")) is None for part in (two, batch)):
            message = (
                f"{self.where(number)}: its outputs are probabilities, but those of the first batch were logits; "
                'set output_mode to "logits" or "probs"'
            )
            raise InvalidOutputError(message)

    def _explain(self, position: int, reason: str, batch: Batch, where: str) -> str:
        remedy = "return logits or probabilities without NaN"
        if self.output_transform:
            remedy = "output_transform must return probabilities"
        elif self.output_mode == "probs":
            remedy = 'set output_mode="logits" if the model returns logits, or output_transform'
            if self.decided:
                remedy = f"the first batch held probabilities (output_mode='auto'); {remedy}"
        return f"{where}, index {batch.indices[position]}: the row is no distribution, {reason}; {remedy}"
