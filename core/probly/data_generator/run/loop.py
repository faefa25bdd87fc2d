"""One run: dispatch a batch, collect the one before it, check every row.

A batch is collected after the next has been dispatched: frameworks compute asynchronously, so this alone overlaps
computing with copying. The first one of arrays is waited for: its time tells how many of those behind it are cut at
once, as one step with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from probly.data_generator.discovery.loading import Backend
from probly.data_generator.toolkit.batches import ArrayBatches
from probly.data_generator.checking import Collected, Room, in_groups
from probly.data_generator.run.device import Dispatched, Dispatcher
from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.hookspecs import HOST
from probly.data_generator.toolkit.nests import collate_labels, take_rows
from probly.data_generator.rows import FloatRows, find_bad_row, may_be_probabilities, mostly_probabilities
from probly.data_generator.toolkit.samples import Batch


@dataclass
class Run:
    """The state of one run.

    Attributes:
        backend: The hooks.
        model: What ``load_model`` returned.
        output_mode: ``"auto"`` until the first batch decides.
        output_transform: Replaces ``output_mode`` if given.
        decided: Whether ``"auto"`` was asked for and has been decided.
        join: Whether small batches that came soon after each other may be handed on as one.
        arrays: What the batches are cut from, if it may cut several at once.
    """

    backend: Backend
    model: Any
    output_mode: str
    output_transform: Callable[[Any], Any] | None = None
    decided: bool = False
    join: bool = False
    arrays: ArrayBatches | None = None

    def __post_init__(self) -> None:
        """Make what calls the hooks."""
        self.dispatcher = Dispatcher(self.backend, self.model, self.output_transform)

    def rows(self, batches: Iterable[Batch], room: Room | None = None) -> Iterator[tuple[Batch, FloatRows]]:
        """Yield the batches with their checked rows, which are to be used before the next ones are asked for.

        Args:
            batches: In the order in which they are yielded.
            room: See ``checking.Group``.
        """
        for group in in_groups(self._collected(iter(batches)), room):
            bad = find_bad_row(group.rows)
            whole = group.joined() if self.join and bad is None else None
            if whole is not None:
                yield whole, group.rows
                continue
            for part, stop in group.parts:
                start = stop - len(part.indices)
                if bad is not None and bad.position < stop:
                    size = self.dispatcher.cut or len(part.indices)
                    good = (bad.position - start) // size * size  # the whole batches before
                    if good:
                        labels = part.labels[:good] if isinstance(part.labels, np.ndarray) else part.labels
                        yield Batch(part.indices[:good], None, labels), group.rows[start : start + good]
                    raise InvalidOutputError(self._explain(part, bad.position - start, bad.reason))
                yield Batch(part.indices, None, part.labels), group.rows[start:stop]

    def _collected(self, batches: Iterator[Batch]) -> Iterator[Collected]:
        """Yield the rows of each batch, one batch behind the device."""
        arrays = self.arrays
        self.dispatcher.cut = cut = None if arrays is None else arrays.batch_size
        waiting: Dispatched | None = None
        number = 0
        try:
            for batch in batches:
                rows = len(batch.indices)
                if rows:
                    dispatched = self._dispatch(number, batch)
                    done, waiting = waiting, None
                    if done is not None:
                        yield self._collect(done)
                    waiting = dispatched
                    if arrays is not None:
                        if number == 0 and arrays.lasts:
                            waiting = self._with_those_behind(dispatched, batches, arrays)
                            rows = len(waiting.indices)
                        # The first one had been waited for, so that its rows were there at once.
                        arrays.keep_pace(over=done is not None and done.number > 0)
                number += -(-rows // cut) if cut else 1
            done, waiting = waiting, None
            if done is not None:
                yield self._collect(done)
        except GeneratorExit:  # nobody asks for more
            raise
        except BaseException:  # Ctrl-C and SIGTERM included
            yield from self._before_error(waiting)
            raise

    def _with_those_behind(self, first: Dispatched, batches: Iterator[Batch], arrays: ArrayBatches) -> Dispatched:
        """Return the first batch as one step with those behind it that its time lets be cut at once."""
        self.dispatcher.host_rows(first)  # waits for it, and raises what is wrong with it
        arrays.keep_pace(over=True)
        others = next(batches, None) if arrays.together > 1 and self.dispatcher.limit is None else None
        if others is None:
            return first
        step = arrays.cut(int(first.indices[0]), int(others.indices[-1]) + 1)
        return self._dispatch(first.number, step, first.parts)

    def _before_error(self, waiting: Dispatched | None) -> Iterator[Collected]:
        """Yield the batches before one that failed, so that a store can keep them."""
        unfinished = self.dispatcher.before_error()
        if unfinished is not None and waiting is not None and unfinished.number == waiting.number:
            waiting = None  # the first batch, which is part of the step that failed
        for dispatched in (waiting, unfinished):
            if dispatched is None:
                continue
            collected = self._collect_before_error(dispatched)
            if collected is not None:
                yield collected
            if collected is None or len(collected.indices) < len(dispatched.indices):
                return  # what follows would leave a gap

    def _collect_before_error(self, dispatched: Dispatched) -> Collected | None:
        """Collect a batch, or those of several that come before another error, which is not the one to be raised."""
        try:
            return self._collect(dispatched)
        except Exception:  # noqa: BLE001  # the caller raises the first error
            before = self.dispatcher.before_error()
        try:
            return self._collect(before) if before is not None and before.number == dispatched.number else None
        except Exception:  # noqa: BLE001  # the device is in trouble
            return None

    def _dispatch(self, number: int, batch: Batch, parts: Sequence[Any] = ()) -> Dispatched:
        """Run the model over a batch, of which some parts may be there already."""
        if self.output_transform is None and self.output_mode == "auto":
            self._decide(number, batch)
        mode = self.output_mode if self.output_transform is None else "raw"
        return self.dispatcher.dispatch(number, batch, mode, self._host_labels(batch.labels), parts)

    def _host_labels(self, labels: Any) -> Any:
        """Copy labels at once: rows are collected a batch later, when a loader may have reused its memory."""
        if labels is None:
            return None
        if not isinstance(labels, np.ndarray):
            labels = self.dispatcher.to_device(data=labels, device=HOST)
        if isinstance(labels, list | tuple) or (isinstance(labels, np.ndarray) and labels.dtype.kind == "O"):
            labels = collate_labels(list(labels))  # text in a table is an array of objects
        return labels.copy() if isinstance(labels, np.ndarray) else labels

    def probabilities(self, batch: Batch) -> Any:
        """Return the rows of one batch unchecked, as the framework's array on the device."""
        if self.output_mode == "auto":
            self._decide(0, batch)
        return self.dispatcher.forward(batch.inputs, self.output_mode)

    def _decide(self, number: int, batch: Batch) -> None:
        """Settle "auto" once per run: probabilities if every row of the first batch is a distribution as it stands."""
        rows = self._taken_as_probabilities(number, batch)
        bad = find_bad_row(rows)
        if bad and mostly_probabilities(rows):
            message = (
                f"{self.dispatcher.where(number)}, index {batch.indices[bad.position]}: most rows of the first batch "
                f'look like probabilities, but in this one {bad.reason}; set output_mode to "probs" or "logits"'
            )
            raise InvalidOutputError(message)
        self.output_mode = "logits" if bad else "probs"
        self.decided = True

    def _taken_as_probabilities(self, number: int, batch: Batch) -> FloatRows:
        try:
            return np.concatenate(self.dispatcher.host_rows(self.dispatcher.dispatch(number, batch, "probs")))
        except BaseException:
            self.dispatcher.unfinished = None  # a look at a batch is no part of the run
            raise

    def _collect(self, dispatched: Dispatched) -> Collected:
        parts = self.dispatcher.host_rows(dispatched)
        if self.decided and self.output_mode == "logits":
            parts = [np.concatenate(parts)]
            self._check_decision(dispatched, parts[0])
        return Collected(dispatched.number, dispatched.indices, dispatched.labels, parts)

    def _check_decision(self, dispatched: Dispatched, rows: FloatRows) -> None:
        """Refuse a batch of probabilities in a run whose first batch held logits."""
        indices, inputs, _ = dispatched.batch
        size = self.dispatcher.cut or len(rows)
        for start in range(0, len(rows), size):
            part = slice(start, min(start + size, len(rows)))
            if part.stop - start > 1 and may_be_probabilities(rows[part]):
                batch = Batch(indices[part], take_rows(inputs, part, len(rows)))
                try:
                    self._refuse_probabilities(dispatched.number + start // size, batch)
                except BaseException:
                    self.dispatcher.failed_at(dispatched, start)
                    raise

    def _refuse_probabilities(self, number: int, batch: Batch) -> None:
        # Two rows tell nearly always; only if they are distributions is the whole batch worth another pass.
        two = Batch(batch.indices[:2], take_rows(batch.inputs, slice(0, 2), len(batch.indices)))
        if all(find_bad_row(self._taken_as_probabilities(number, part)) is None for part in (two, batch)):
            message = (
                f"{self.dispatcher.where(number)}: its outputs are probabilities, but those "
                'of the first batch were logits; set output_mode to "logits" or "probs"'
            )
            raise InvalidOutputError(message)

    def _explain(self, collected: Collected, position: int, reason: str) -> str:
        remedy = "return logits or probabilities without NaN"
        if self.output_transform:
            remedy = "output_transform must return probabilities"
        elif self.output_mode == "probs":
            remedy = 'set output_mode="logits" if the model returns logits, or output_transform'
            if self.decided:
                remedy = f"the first batch held probabilities (output_mode='auto'); {remedy}"
        where = f"{self.dispatcher.where(collected.number, position)}, index {collected.indices[position]}"
        return f"{where}: the row is no distribution, {reason}; {remedy}"
