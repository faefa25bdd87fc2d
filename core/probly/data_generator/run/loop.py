"""One run: dispatch a batch, collect the one before it, check every row, hand it on."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.hookspecs import HOST
from probly.data_generator.run.device import Device, Dispatched
from probly.data_generator.run.members import LOGITS, MEMBERS, Models, mean_rows
from probly.data_generator.run.progress import Tracker
from probly.data_generator.run.scores import Scores
from probly.data_generator.run.sinks import NORMALISED, Sink
from probly.data_generator.toolkit.nests import collate_labels
from probly.data_generator.toolkit.samples import Batch, Indices, checked_indices

MOST_NUMBERS = 2**14
"""The numbers of a block: a NumPy call costs as much for 10 rows as for 1000. A larger batch is a block of its own."""
LONGEST_WAIT = 0.05
"""The seconds until a block is handed on all the same, so that the rows of a slow model do not wait."""

Begin = Callable[[int, str, Mapping[str, tuple[int, ...]]], None]
"""Called before the first rows are handed on: with the number of classes, the decided output mode, and the shape per
row of each array that is kept beside them."""
FEATURES = "features:"
"""What the names of columns begin with that hold a hidden layer."""


def run_batches(
    batches: Iterable[Batch], models: Models, sink: Sink, begin: Begin, tracker: Tracker, keep: Sequence[str] = ()
) -> None:
    """Run the models over all batches that the sink needs; what was collected before an error is handed on first.

    A batch is collected after the next one has been dispatched: frameworks compute asynchronously, so this alone
    overlaps computing with copying. Never more than two batches and a block are in memory.

    Args:
        batches: In the order of the dataset, or of the loader.
        models: Run on them, and make rows of what they returned.
        sink: Takes the rows.
        begin: See ``Begin``.
        tracker: Counts the rows.
        keep: What is kept beside the rows; see ``FirstOrderDataGenerator.generate_distributions``.

    Raises:
        InvalidOutputError: A row is no distribution; the message names its index and batch.
    """
    block = Block(models, sink, begin, tracker, keep)
    waiting: list[Dispatched] = []
    try:
        for number, batch in enumerate(batches):
            rows = len(batch.indices)
            if not rows:
                continue
            indices = checked_indices(batch.indices, rows, models.where(number))
            # Backends that compile pad to the largest batch of a run, which may be among those that are skipped.
            models.expect(rows)
            if not sink.needs(indices):
                tracker.skip(rows)
                continue
            # Copied at once: rows are collected a batch later, when a loader may have reused its memory.
            columns = {name: _host(models.first, column) for name, column in batch.columns.items()}
            dispatched = models.dispatch(number, batch._replace(indices=indices, columns=columns))
            done, waiting = waiting, []
            if done:
                block.add(done)
            waiting = dispatched
        done, waiting = waiting, []
        if done:
            block.add(done)
    except BaseException as error:  # Ctrl-C and SIGTERM included
        _hand_on(block, waiting, error)
        raise
    block.hand_on()


def enter_at(
    start: int, batch_size: int, batches: Iterable[Batch], models: Models, tracker: Tracker
) -> Iterator[Batch]:
    """Yield batches; where they begin at ``start``, count the rows before it, which the sink had already.

    The batches before were full ones, and backends that compile pad to the largest batch of a run: without them, a
    short last batch alone would be computed in another shape, and its last bits might differ.
    """
    first = True
    for batch in batches:
        if first and start and len(batch.indices) and batch.indices[0] == start:
            tracker.skip(start)
            models.expect(batch_size)
        first = first and not len(batch.indices)
        yield batch


def _hand_on(block: "Block", waiting: list[Dispatched], error: BaseException) -> None:
    """Hand on what came before an error, which is the one to be raised whatever happens here."""
    try:
        try:
            if waiting:
                block.add(waiting)
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

    def __init__(self, models: Models, sink: Sink, begin: Begin, tracker: Tracker, keep: Sequence[str]) -> None:
        self.models, self.sink, self.begin, self.tracker, self.keep = models, sink, begin, tracker, keep
        self._begun = False
        self._memory: Scores = np.empty((0, 0, 0), np.float32)
        self._parts: list[_Part] = []
        self._since = -LONGEST_WAIT  # the first batch does not wait: most mistakes show there

    def add(self, dispatched: Sequence[Dispatched]) -> None:
        """Take the scores of a batch, and hand the block on if it is time."""
        number, (indices, _, columns) = dispatched[0].number, dispatched[0].batch
        scores, layers = self.models.read(dispatched)
        kept = self._kept(scores, layers, self.models.where(number))
        if self._memory.size and scores.shape[2] != self._memory.shape[2]:
            classes, where = self._memory.shape[2], f"{self.models.where(number)}, index {indices[0]}"
            message = f"{where}: expected {classes} classes as before, got {scores.shape[2]}"
            raise InvalidOutputError(message)
        start = self._stop
        if start + len(scores) > len(self._memory):
            self.hand_on()
            start = 0
            self._make_room(scores)
        stop = start + len(scores)
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite and is reported with its index
            self._memory[start:stop] = scores
        self._parts.append(_Part(number, indices, {**columns, **kept}, stop))
        full = self._memory[:stop].size >= MOST_NUMBERS
        if full or time.monotonic() - self._since >= LONGEST_WAIT:
            self.hand_on()

    @property
    def _stop(self) -> int:
        return self._parts[-1].stop if self._parts else 0

    def _kept(self, scores: Scores, layers: Mapping[str, Any], where: str) -> dict[str, npt.NDArray[np.float32]]:
        """Return what is kept of a batch beside its rows, in memory of its own, without an axis for a single member."""
        found = {f"{FEATURES}{name}": part for name, part in layers.items()}
        if LOGITS in self.keep:
            if self.models.mode != "logits":
                message = (
                    f"{where}: keep={LOGITS!r}: the model returns probabilities, which have no logits; leave it out, "
                    "or pass the model without its softmax"
                )
                raise InvalidOutputError(message)
            found[LOGITS] = scores
        with np.errstate(over="ignore"):
            return {
                name: (part if self.models.plural else part[:, 0]).astype(np.float32) for name, part in found.items()
            }

    def _make_room(self, scores: Scores) -> None:
        """Make memory for a batch and for others where it is not a large one.

        float64, and integers that float32 does not have, lose nothing before the end.
        """
        shape = scores.shape[1:]
        needed = max(len(scores), 2 * MOST_NUMBERS // max(shape[0] * shape[1], 1))
        if needed > len(self._memory):
            self._memory = np.empty((needed, *shape), np.result_type(scores.dtype, np.float32))

    def hand_on(self) -> None:
        """Make rows of the scores, check them, and give them to the sink batch by batch, up to the first bad one."""
        parts, self._parts = self._parts, []
        if not parts:
            return
        members, normalised, bad, remedy = self.models.finish(self._memory[: parts[-1].stop])
        rows = mean_rows(members)
        start = 0
        for number, indices, columns, stop in parts:
            if bad is not None and bad.position < stop:
                where = f"{self.models.where(number)}, index {indices[bad.position - start]}"
                message = f"{where}: the row is no distribution, {bad.reason}; {remedy}"
                raise InvalidOutputError(message)
            kept = {name: part for name, part in columns.items() if name in self.keep}
            if self.models.plural:
                kept[MEMBERS] = members[start:stop]
            if not self._begun:  # a run that is refused at its first batch leaves nothing behind
                shapes = {name: part.shape[1:] for name, part in kept.items()}
                self.begin(rows.shape[1], self.models.mode, shapes)
                self._begun = True
            marks = {NORMALISED: normalised[start:stop]} if normalised is not None else {}
            marks = marks if marks and marks[NORMALISED].any() else {}
            self.sink.write(indices, rows[start:stop], {**columns, **kept, **marks})
            self.tracker.update(stop - start)
            start = stop
        self._since = time.monotonic()
