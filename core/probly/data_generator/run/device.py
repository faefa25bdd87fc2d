"""Batches on their way through the device: out as inputs, back as rows, in as many parts as its memory asks for."""

import contextlib
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from probly.data_generator.discovery.loading import Backend
from probly.data_generator.toolkit.batches import cutter
from probly.data_generator.errors import BrokenBackendError, InvalidOutputError
from probly.data_generator.hookspecs import HOST
from probly.data_generator.toolkit.nests import take_rows
from probly.data_generator.rows import FloatRows, check_shape
from probly.data_generator.toolkit.samples import Batch, Indices

NO_OUTPUTS = "hook forward returned None; expected one row per input"
_FLOAT32 = np.dtype(np.float32)


class Dispatched(NamedTuple):
    """A batch whose rows the device may still be computing; or several batches that were cut from arrays at once.

    Attributes:
        number: Its place in the run, for messages; of several, that of the first.
        batch: The batch.
        labels: Its labels in memory of their own.
        mode: The output mode that it was dispatched with.
        size: The rows per part.
        parts: The device's outputs: one part, or several, of several batches or after the memory ran out.
    """

    number: int
    batch: Batch
    labels: Any
    mode: str
    size: int
    parts: list[Any]

    @property
    def indices(self) -> Indices:
        """The indices of its rows."""
        return self.batch.indices


@dataclass
class Dispatcher:
    """Calls the hooks of every batch.

    Attributes:
        backend: The hooks.
        model: What ``load_model`` returned.
        output_transform: Makes rows of the model's raw outputs, if given.
        full_batch: The rows of the largest batch so far; compiled backends pad to it.
        cut: The rows per batch, where several come at once.
        limit: The rows that fit on the device, once it has run out of memory.
        unfinished: What was under way when something failed, with the parts that came before that.
    """

    backend: Backend
    model: Any
    output_transform: Callable[[Any], Any] | None = None
    full_batch: int = 0
    cut: int | None = None
    limit: int | None = None
    unfinished: Dispatched | None = None

    def __post_init__(self) -> None:
        """Look up once what is called per batch."""
        self.to_device = self.backend.direct["to_device"]
        self._call_model = self.backend.direct["forward"]
        self._input_device = getattr(self.model, "input_device", self.model.device)
        self._forward_context = self._context_of_model()
        self._full_part = self.full_batch
        self._classes = 0

    def _context_of_model(self) -> Callable[[], contextlib.AbstractContextManager[Any]]:
        context: Any = getattr(self.model, "forward_context", contextlib.nullcontext)
        if not callable(context):
            message = (
                f"backend {self.backend.info.name!r}: forward_context of the loaded model: expected a function without "
                f"arguments that returns a context manager, got {context!r}; see the hook load_model"
            )
            raise BrokenBackendError(message)
        # A plugin around these hooks expects nothing of the kind, and gets each call as it would be alone.
        hook = self.backend.hook
        wrapped = self._call_model is hook.forward or self.to_device is hook.to_device
        return contextlib.nullcontext if wrapped else context

    def where(self, number: int, row: int = 0) -> str:
        """Name a batch in messages: the one of this number, or that of a row among several from this number on."""
        return f"backend {self.backend.info.name!r}, batch {number + (row // self.cut if self.cut else 0)}"

    def dispatch(
        self, number: int, batch: Batch, mode: str, labels: Any = None, parts: Sequence[Any] = ()
    ) -> Dispatched:
        """Run the model over a batch without waiting for the device.

        Args:
            number: See Dispatched.
            batch: The batch.
            mode: See Dispatched.
            labels: See Dispatched.
            parts: The outputs of its first batches, of ``cut`` rows each, if the model has been run over them.
        """
        rows = len(batch.indices)
        whole = min(rows, self.cut or rows)
        self.full_batch = max(self.full_batch, whole)
        while True:
            size = min(whole, self.limit or whole)
            self._full_part = min(self.full_batch, self.limit or self.full_batch)
            dispatched = Dispatched(number, batch, labels, mode, size, list(parts))
            try:
                sufficed = self._run_parts(dispatched)
            except BaseException:
                self.unfinished = dispatched
                raise
            if sufficed:
                return dispatched
            parts = ()  # they come in another size now

    def _run_parts(self, dispatched: Dispatched) -> bool:
        """Run the model over each part; return False after memory did not suffice and the limit has been halved."""
        number, batch, _, mode, size, parts = dispatched
        rows, begun = len(batch.indices), len(parts) * size
        start = begun
        try:
            if size == rows:  # the inputs as they are
                parts.append(self.forward(batch.inputs, mode))
                return True
            take = cutter(batch.inputs, rows)
            with contextlib.nullcontext() if mode == "raw" else self._forward_context():
                for start in range(begun, rows, size):
                    parts.append(self.forward(take(slice(start, start + size)), mode))
        except Exception as error:
            # Leaving the block frees the failed attempt's arrays, which the traceback's frames keep alive.
            if self._halved(error, size, number, start):
                return False
            error.add_note(f"raised in {self.where(number, start)}")
            raise
        return True

    def failed_at(self, dispatched: Dispatched, row: int) -> None:
        """Remember that something is wrong with a row, and that those of the parts before it can be kept."""
        self.unfinished = dispatched._replace(parts=dispatched.parts[: row // max(dispatched.size, 1)])

    def before_error(self) -> Dispatched | None:
        """Return the whole batches that came together with one that failed, and before it; None without any."""
        if self.unfinished is None or self.cut is None:
            return None
        number, (indices, inputs, _), labels, mode, size, parts = self.unfinished
        step = math.lcm(size, self.cut)  # whole batches that are whole parts
        part = slice(0, len(parts) * size // step * step)
        if not part.stop:
            return None
        batch = Batch(indices[part], take_rows(inputs, part, len(indices)))
        labels = labels[part] if isinstance(labels, np.ndarray) else labels
        return Dispatched(number, batch, labels, mode, size, parts[: part.stop // size])

    def forward(self, inputs: Any, mode: str) -> Any:
        """Return the rows of one batch or part, unchecked, as the framework's array on the device."""
        if mode == "raw":
            return self._transformed(inputs)
        on_device = self.to_device(data=inputs, device=self._input_device)
        outputs = self._call_model(model=self.model, inputs=on_device, output_mode=mode, batch_size=self._full_part)
        if outputs is None:
            raise InvalidOutputError(NO_OUTPUTS)
        return outputs

    def _transformed(self, inputs: Any) -> Any:
        assert self.output_transform is not None
        # Raw outputs may hold the inputs' own memory, to which output_transform may write.
        on_device = self.to_device(data=inputs, device=self.model.device)
        outputs = self._call_model(model=self.model, inputs=on_device, output_mode="raw", batch_size=self._full_part)
        if outputs is None:
            raise InvalidOutputError(NO_OUTPUTS)
        # A copy: a model may reuse the memory of its outputs before they are collected.
        return self.to_device(data=self.output_transform(outputs), device=self.model.device)

    def host_rows(self, dispatched: Dispatched) -> list[FloatRows]:
        """Wait for a batch and return its rows in host memory: those of each part, of equally many classes."""
        while True:
            hosted = self._hosted(dispatched)
            if hosted is not None:
                return hosted
            number, batch, labels, mode, _, _ = dispatched
            dispatched = self.dispatch(number, batch, mode, labels)

    def _hosted(self, dispatched: Dispatched) -> list[FloatRows] | None:
        """Return the rows, or None after the device's memory did not suffice and the limit has been halved."""
        number, (indices, _, _), _, _, size, parts = dispatched
        hosted: list[FloatRows] = []
        start, stop = 0, len(indices)
        starts = range(0, max(stop, 1), max(size, 1))  # no rows are one part, too
        try:
            for start, part in zip(starts, parts, strict=True):
                rows = self.to_device(data=part, device=HOST)
                expected = size if start + size <= stop else stop - start
                usual = type(rows) is np.ndarray and rows.dtype is _FLOAT32 and rows.ndim == 2 and len(rows) == expected
                hosted.append(rows if usual else check_shape(rows, expected, self.where(number, start)))
            self._check_classes(hosted, dispatched)
        except BaseException as error:  # Ctrl-C included
            # Asynchronous devices report a failure of the computation only when its result is fetched.
            if isinstance(error, Exception) and self._halved(error, size, number, start):
                return None
            start = len(hosted) * size  # the first wrong one, which may have been found after all had come
            self.failed_at(dispatched, start)
            where = self.where(number, start)
            if isinstance(error, Exception) and where not in str(error):  # the checks name it themselves
                error.add_note(f"raised in {where}")
            raise
        self._classes = hosted[0].shape[1]
        return hosted

    def _check_classes(self, hosted: list[FloatRows], dispatched: Dispatched) -> None:
        """Refuse parts of another number of classes than those before, and take them away."""
        found = [rows.shape[1] for rows in hosted]
        if len(set(found)) == 1:
            return
        classes = self._classes or found[0]
        place = next(place for place, other in enumerate(found) if other != classes)
        del hosted[place:]
        start = place * dispatched.size
        where = f"{self.where(dispatched.number, start)}, index {dispatched.indices[start]}"
        message = f"{where}: expected {classes} classes as before, got {found[place]}"
        raise InvalidOutputError(message)

    def _halved(self, error: Exception, size: int, number: int, row: int) -> bool:
        """Return whether the device ran out of memory with more than one row; if so, remember half of its size."""
        if size == 1 or isinstance(error, InvalidOutputError) or not self.backend.has("is_out_of_memory"):
            return False
        if not self.backend.hook.is_out_of_memory(error=error):
            return False
        if self.limit is None:
            message = f"{self.where(number, row)}: the device ran out of memory; going on with smaller batches"
            warnings.warn(message, stacklevel=2)
        # A batch that was under way when another one failed must not halve the limit again.
        self.limit = min(self.limit or size, size // 2)
        return True
