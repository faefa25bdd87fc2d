"""Streaming a run into a store: which batches are still needed, and in which order rows may come."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.errors import AlignmentError, StoreError
from probly.data_generator.rows import FloatRows
from probly.data_generator.run.loop import Run
from probly.data_generator.toolkit.batches import ArrayBatches
from probly.data_generator.toolkit.samples import Batch, Indices
from probly_data_generator_store.opening import open_store
from probly_data_generator_store.reader import Store
from probly_data_generator_store.shards import Range
from probly_data_generator_store.spec import MANIFEST, refuse_differences
from probly_data_generator_store.writer import Limits, StoreWriter


class StoreSink:
    """What a run writes to, in place of memory.

    A batch of which any row is missing is computed whole, as in the first run, and only what is missing is kept:
    a row computed in another batch may differ in its last bit.

    Args:
        writer: The open store.
        run: The run; it takes over the output mode that the first run decided.
        describe: Returns the metadata for a number of classes.
        batch_size: Rows per batch of a dataset that is no loader.
    """

    def __init__(
        self, writer: StoreWriter, run: Run, describe: Callable[[int], dict[str, Any]], batch_size: int
    ) -> None:
        self.writer, self.run, self.describe, self.batch_size = writer, run, describe, batch_size
        self.length: int | None = None
        self.stop, self._classes = 0, -1
        if writer.spec is not None and writer.spec.decided not in (None, run.output_mode):
            run.output_mode, run.decided = writer.spec.decided, True

    @property
    def start(self) -> int:
        """The first row of the first batch that is needed; a dataset need not read those before."""
        first_missing = self.writer.missing(0, 2**62)[0].start
        return first_missing // self.batch_size * self.batch_size

    @property
    def safe_rows(self) -> int:
        """The number of rows that are published."""
        return sum(rows.stop - rows.start for rows in self.writer.published)

    def may_join(self, batches: Iterable[Batch]) -> bool:
        """Return whether several batches may be added as one: if all that follow the first are missing."""
        return type(batches) is ArrayBatches and len(self.writer.missing(0, 2**62)) == 1

    def room(self, classes: int) -> FloatRows | None:  # noqa: ARG002
        """Return None: rows are written in the store's representation, not to memory of ours."""
        return None

    def pending(self, batches: Iterable[Batch], skip: Callable[[int], Any]) -> Iterator[Batch]:
        """Yield the batches that hold a missing row.

        Args:
            batches: All batches, or those from ``start`` on.
            skip: Called with the number of rows that need not be computed.

        Raises:
            AlignmentError: A batch does not continue the one before.
        """
        self._check_keys(self.length)
        expected: int | None = None
        for batch in batches:
            rows = len(batch.indices)
            if not rows:
                continue
            if expected is None:
                expected = self._first(int(batch.indices[0]), skip)
            _check_order(batch.indices, expected)
            expected = self.stop = expected + rows
            if self.writer.sample_keys is not None and expected > len(self.writer.sample_keys):
                self._check_keys(expected)
            # Backends that compile pad to the largest batch of a run, which may be among those that are skipped.
            largest = min(rows, self.run.dispatcher.cut or rows)
            self.run.dispatcher.full_batch = max(self.run.dispatcher.full_batch, largest)
            if self.writer.missing(expected - rows, expected):
                yield batch
            else:
                skip(rows)

    def _check_keys(self, rows: int | None) -> None:
        keys = self.writer.sample_keys
        if keys is not None and rows not in (None, len(keys)):
            message = f"keys: expected one per sample, got {len(keys)} for a dataset of {rows} or more"
            raise AlignmentError(message)

    def _first(self, first: int, skip: Callable[[int], Any]) -> int:
        if first == 0 or first != self.start:
            return 0
        skip(first)
        self.run.dispatcher.full_batch = self.batch_size
        self.stop = first
        return first

    def add(self, indices: Indices, rows: FloatRows, labels: Any) -> None:
        """Write those rows of a batch that are missing."""
        if rows.shape[1] != self._classes:
            self._begin(rows.shape[1])
        first = int(indices[0])
        usable = isinstance(labels, np.ndarray) and labels.ndim > 0 and len(labels) == len(rows)
        for part in self.writer.missing(first, first + len(rows)):
            for start, stop in self._shares(part):
                chosen = slice(start - first, stop - first)
                self.writer.append(start, rows[chosen], labels[chosen] if usable else None)

    def _shares(self, part: Range) -> Iterator[Range]:
        """Cut several batches where one by one they would close a shard, whatever came together."""
        size = self.run.dispatcher.cut
        if size is None:  # a single batch
            yield part
            return
        start = part.start
        while start < part.stop:
            held = self.writer.held
            full = (held.start if held.count else start) + held.capacity
            stop = min(-(-full // size) * size, part.stop)
            yield Range(start, stop)
            start = stop

    def _begin(self, classes: int) -> None:
        self.writer.begin(classes, self.describe(classes), rows=self.length, decided=self.run.output_mode)
        self._classes = classes

    def finish(self) -> Store:
        """Complete the store with the rows that the dataset had, and open it.

        Raises:
            AlignmentError: The store holds rows that the dataset does not have.
        """
        published = self.writer.published
        self.stop = max(self.stop, self.start if self.start == self.length else 0)
        self._check_keys(self.stop)
        if published and published[-1].stop > self.stop:
            message = (
                f"{self.writer.path}: holds rows up to {published[-1].stop}, but the dataset ended at {self.stop}; "
                "pass the dataset that the store was begun with"
            )
            raise AlignmentError(message)
        if self.writer.spec is None:
            self._begin(0)
        self.writer.finish(self.stop)
        return open_store(self.writer.path)


def _check_order(indices: Indices, expected: int) -> None:
    if indices[0] != expected or not (np.diff(indices) == 1).all():
        message = (
            "a store is written in dataset order; pass the dataset or an unshuffled loader "
            f"(expected the indices {expected} to {expected + len(indices) - 1}, got {indices[:5].tolist()}...)"
        )
        raise AlignmentError(message)


@contextlib.contextmanager
def opened(
    path: Path,
    identity: dict[str, Any],
    limits: tuple[str, float, float],
    run: Run,
    describe: Callable[[int], dict[str, Any]],
    batch_size: int,
    sample_keys: Any = None,
) -> Iterator[StoreSink | Store]:
    """Give the sink of a run, or the store of an earlier one if it is complete.

    Args:
        path: The store.
        identity: What every run on it must have in common.
        limits: The representation, and the megabytes and seconds after which a shard is closed.
        run: See StoreSink.
        describe: See StoreSink.
        batch_size: See StoreSink.
        sample_keys: See StoreWriter.

    Raises:
        ValueError: The path does not end in .fod, or an argument is out of its domain.
        StoreError: The store cannot be gone on with; the message says why.
    """
    if path.suffix.lower() != ".fod":
        message = f"{path}: expected a store's path, which ends in .fod, as out"
        raise ValueError(message)
    form, megabytes, seconds = limits
    store = _finished(path, identity, form)
    if store is not None:
        yield store
        return
    with terminating(), StoreWriter(path, identity, form, Limits(megabytes, seconds), sample_keys) as writer:
        yield StoreSink(writer, run, describe, batch_size)


def _finished(path: Path, identity: dict[str, Any], form: str) -> Store | None:
    """Return the store if it is complete; what is missing is generated, and the writer refuses what is damaged."""
    if not os.path.lexists(path / MANIFEST):
        return None
    try:
        store = open_store(path)
    except StoreError:
        return None
    refuse_differences(path, store.spec, identity, form)
    return store


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Turn SIGTERM, where nobody else handles it, into an exit that publishes what is there."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    owner = os.getpid()

    def leave(number: int, frame: Any) -> None:  # noqa: ARG001
        if os.getpid() != owner:  # a forked loader worker has nothing to publish
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
