"""One run: dispatch a batch, collect the one before it, check every row, hand it on."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.hookspecs import HOST
from probly.data_generator.run.device import Device, Dispatched
from probly.data_generator.run.progress import Tracker
from probly.data_generator.run.scores import ScoreReader, Scores
from probly.data_generator.run.sinks import NORMALISED, Sink
from probly.data_generator.toolkit.nests import collate_labels
from probly.data_generator.toolkit.samples import Batch, Indices

MOST_NUMBERS = 2**14
"""The numbers of a block: a NumPy call costs as much for 10 rows as for 1000. A larger batch is a block of its own."""
LONGEST_WAIT = 0.05
"""The seconds until a block is handed on all the same, so that the rows of a slow model do not wait."""

Begin = Callable[[int, str], None]
"""Called with the number of classes and the decided output mode before the first rows are handed on."""


def run_batches(
    batches: Iterable[Batch], device: Device, reader: ScoreReader, sink: Sink, begin: Begin, tracker: Tracker
) -> None:
    """Run the model over all batches that the sink needs; what was collected before an error is handed on first.

    A batch is collected after the next one has been dispatched: frameworks compute asynchronously, so this alone
    overlaps computing with copying. Never more than two batches and a block are in memory.

    Args:
        batches: In the order of the dataset, or of the loader.
        device: Runs the model.
        reader: Makes rows of what it returned.
        sink: Takes the rows.
        begin: See ``Begin``.
        tracker: Counts the rows.

    Raises:
        InvalidOutputError: A row is no distribution; the message names its index and batch.
    """
    block = Block(reader, sink, begin, tracker, device.where)
    waiting: Dispatched | None = None
    try:
        for number, batch in enumerate(batches):
            rows = len(batch.indices)
            if not rows:
                continue
            # Backends that compile pad to the largest batch of a run, which may be among those that are skipped.
            device.largest = max(device.largest, rows)
            if not sink.needs(batch.indices):
                tracker.skip(rows)
                continue
            # Copied at once: rows are collected a batch later, when a loader may have reused its memory.
            held = batch._replace(columns={name: _host(device, column) for name, column in batch.columns.items()})
            dispatched = device.dispatch(number, held)
            done, waiting = waiting, None
            if done is not None:
                block.add(done, device.fetch(done))
            waiting = dispatched
        done, waiting = waiting, None
        if done is not None:
            block.add(done, device.fetch(done))
    except BaseException as error:  # Ctrl-C and SIGTERM included
        _hand_on(block, waiting, device, error)
        raise
    block.hand_on()


def enter_at(
    start: int, batch_size: int, batches: Iterable[Batch], device: Device, tracker: Tracker
) -> Iterator[Batch]:
    """Yield batches; where they begin at ``start``, count the rows before it, which the sink had already.

    The batches before were full ones, and backends that compile pad to the largest batch of a run: without them, a
    short last batch alone would be computed in another shape, and its last bits might differ.
    """
    first = True
    for batch in batches:
        if first and start and len(batch.indices) and batch.indices[0] == start:
            tracker.skip(start)
            device.largest = max(device.largest, batch_size)
        first = first and not len(batch.indices)
        yield batch


def _hand_on(block: "Block", waiting: Dispatched | None, device: Device, error: BaseException) -> None:
    """Hand on what came before an error, which is the one to be raised whatever happens here."""
    try:
        try:
            if waiting is not None:
                block.add(waiting, device.fetch(waiting))
        finally:
            block.hand_on()
    except Exception as second:  # noqa: BLE001  # the device or the disk may be in trouble
        error.add_note(f"and the rows before it could not be handed on: {type(second).__name__}: {second}")


def _host(device: Device, column: Any) -> Any:
    """Return a column of a batch as NumPy's, in memory of its own."""
    if not isinstance(column, np.ndarray):
        column = device.moved(column, HOST)
    objects = isinstance(column, np.ndarray) and column.dtype.kind == "O" and column.ndim > 0
    if (isinstance(column, list | tuple) or objects) and len(column):
        column = collate_labels(list(column))  # text in a table is an array of objects
    return column.copy() if isinstance(column, np.ndarray) else column


class _Part(NamedTuple):
    """One batch in a block: its place in the run, and where its rows end."""

    number: int
    indices: Indices
    columns: Mapping[str, Any]
    stop: int


class Block:
    """Scores of consecutive batches in one array, made rows and checked together, and handed on batch by batch."""

    def __init__(
        self, reader: ScoreReader, sink: Sink, begin: Begin, tracker: Tracker, where: Callable[[int], str]
    ) -> None:
        self.reader, self.sink, self.begin, self.tracker, self.where = reader, sink, begin, tracker, where
        self.classes: int | None = None
        self._begun = False
        self._memory: Scores = np.empty((0, 0), np.float32)
        self._parts: list[_Part] = []
        self._since = -LONGEST_WAIT  # the first batch does not wait: most mistakes show there

    def add(self, dispatched: Dispatched, scores: Scores) -> None:
        """Take the scores of a batch, and hand the block on if it is time."""
        number, (indices, _, columns), where = dispatched.number, dispatched.batch, self.where(dispatched.number)
        scores = self.reader.read(scores, where, indices, half=dispatched.half)
        if self.classes is None:
            self.classes = scores.shape[1]
        if scores.shape[1] != self.classes:
            message = f"{where}, index {indices[0]}: expected {self.classes} classes as before, got {scores.shape[1]}"
            raise InvalidOutputError(message)
        start = self._stop
        if start + len(scores) > len(self._memory):
            self.hand_on()
            start = 0
            self._make_room(scores)
        stop = start + len(scores)
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite and is reported with its index
            self._memory[start:stop] = scores
        self._parts.append(_Part(number, indices, columns, stop))
        if stop * self.classes >= MOST_NUMBERS or time.monotonic() - self._since >= LONGEST_WAIT:
            self.hand_on()

    @property
    def _stop(self) -> int:
        return self._parts[-1].stop if self._parts else 0

    def _make_room(self, scores: Scores) -> None:
        """Make memory for a batch and for others where it is not a large one.

        float64, and integers that float32 does not have, lose nothing before the end.
        """
        needed = max(len(scores), 2 * MOST_NUMBERS // max(scores.shape[1], 1))
        if needed > len(self._memory):
            self._memory = np.empty((needed, scores.shape[1]), np.result_type(scores.dtype, np.float32))

    def hand_on(self) -> None:
        """Make rows of the scores, check them, and give them to the sink batch by batch, up to the first bad one."""
        parts, self._parts = self._parts, []
        if not parts:
            return
        scores = self._memory[: parts[-1].stop]
        rows, normalised, bad = self.reader.finish(scores)
        start = 0
        for number, indices, columns, stop in parts:
            if bad is not None and bad.position < stop:
                where = f"{self.where(number)}, index {indices[bad.position - start]}"
                message = f"{where}: the row is no distribution, {bad.reason}; {self.reader.remedy(rows[bad.position])}"
                raise InvalidOutputError(message)
            if not self._begun:  # a run that is refused at its first batch leaves nothing behind
                assert self.classes is not None
                self.begin(self.classes, self.reader.mode)
                self._begun = True
            marks = (
                {} if normalised is None or not normalised[start:stop].any() else {NORMALISED: normalised[start:stop]}
            )
            self.sink.write(indices, rows[start:stop], {**columns, **marks})
            self.tracker.update(stop - start)
            start = stop
        self._since = time.monotonic()
