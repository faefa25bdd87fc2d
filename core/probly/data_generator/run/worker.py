"""One worker of a run that several share: it is admitted once, and computes whole shards from then on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.run.identity import batch_size_of, not_seen, remember_models, warn_not_seen
from probly.data_generator.run.members import Models
from probly.data_generator.run.probe import closing, read_once
from probly.data_generator.run.progress import Tracker
from probly.data_generator.run.ranges import Admission, Ranges, Receipt
from probly.data_generator.run.run import Run
from probly.data_generator.run.sinks import MemorySink, Shape
from probly.data_generator.toolkit.loaders import is_loader
from probly.data_generator.toolkit.places import Place
from probly.data_generator.toolkit.samples import Indices

UNSEEN = Tracker(None, None, int)
"""Progress is shown shard by shard, by whoever hands them out."""


@dataclass(frozen=True)
class Worker:
    """A worker that was admitted.

    Attributes:
        run: Its models and its dataset.
        ranges: The file.
        models: The models, with the mode that all workers have.
        batch_size: How many rows a full batch has.
    """

    run: Run
    ranges: Ranges
    models: Models
    batch_size: int

    def compute(self, number: int) -> Receipt:
        """Compute the rows of a shard and publish them.

        Raises:
            InvalidOutputError: A row is no distribution.
            AlignmentError: The dataset does not give the rows of the shard in their order.
            StoreError: The disk failed, or other rows have been published.
        """
        rows = self.ranges.range(number)
        sink = self.ranges.sink(number)
        try:
            batches = self.run.batches(rows.start, rows.stop)
            self.models.expect(self.batch_size)  # backends that compile pad to it, also where a shard has fewer rows
            with closing(batches):
                self.run.compute(batches, self.models, sink, UNSEEN, getattr(batches, "length", None))
            return self.ranges.publish(number, sink)
        finally:
            sink.close()


@contextmanager
def admitted(run: Run, out: Place, form: Any, options: dict[str, Any], tolerance: float | None) -> Iterator[Worker]:
    """Give a worker that may write to a file, or that has begun it.

    Args:
        run: Its models and its dataset.
        out: The file.
        form: Its format; see ``formats.contract``.
        options: What ``form.open_ranges`` gets.
        tolerance: How far the rows of its first batch may be from those that the file was begun with; None to compare
            none.

    Raises:
        ValueError: The dataset cannot be shared: its length is not known, it can be read only once, or its batches are
            not all of one known size.
        StoreError: The worker computes something else than whoever began the file.
    """
    batch_size = _shareable(run)
    identity = run.identity(options["keys"], batch_size=True)
    unseen = not_seen(identity)
    if unseen:
        warn_not_seen(out, unseen, probe=tolerance is not None)
    try:
        with form.open_ranges(out, identity, options) as ranges:
            ranges.admit(_first_batch(run, batch_size, unseen), tolerance)
            models = run.models(ranges.decided)
            yield Worker(run, ranges, models, batch_size)
    finally:
        remember_models(run.loaded, identity)


def _shareable(run: Run) -> int:
    """Return the size of a full batch of a dataset that can be shared."""
    if read_once(run.dataset):
        message = (
            f"the dataset, {type(run.dataset).__name__}, can be read only once, so workers cannot share it; pass one "
            "that has len() and [index], or leave out workers, share, engine and shard_rows"
        )
        raise ValueError(message)
    batch_size = batch_size_of(run.dataset, run.request.batch_size)
    if batch_size is None:
        message = (
            "the loader does not tell its batch size, so its batches cannot be shared out; pass its dataset, and "
            "batch_size"
        )
        raise ValueError(message)
    return batch_size


def _first_batch(run: Run, batch_size: int, unseen: list[str]) -> Admission:
    """Compute the first batch, as every worker does."""
    sink = _FirstBatch()
    batches = run.batches(0, batch_size)
    length: int | None = getattr(batches, "length", None)
    if length is None:
        message = (
            f"the dataset, {type(run.dataset).__name__}, does not tell how many rows it has, so workers cannot share "
            "it; pass one of samples, not of batches, with len(), or leave out workers, share, engine and shard_rows"
        )
        raise ValueError(message)
    if is_loader(run.dataset) and getattr(run.dataset, "drop_last", False) and length % batch_size:
        message = (
            f"the loader leaves out the last {length % batch_size} of {length} samples, so workers cannot complete "
            "their rows; pass the loader with drop_last=False, or its dataset"
        )
        raise ValueError(message)
    with closing(batches):
        run.compute(batches, run.models(), sink, UNSEEN, length, unseen)
    rows = sink.finish()
    if length and not len(rows):
        message = (
            f"the dataset, {type(run.dataset).__name__}, announces {length} rows, and gives none that is the first; "
            "look at its __len__ and __iter__, and at index_getter, which counts from 0"
        )
        raise AlignmentError(message)
    return Admission(length, batch_size, rows.num_classes, sink.mode, sink.meta, sink.shapes, rows.probabilities)


class _FirstBatch(MemorySink):
    """Memory that remembers what it was told, of rows in their order."""

    mode = ""
    next_row = 0
    shapes: Mapping[str, Shape] = MappingProxyType({})

    def needs(self, indices: Indices) -> bool:
        """Return True.

        Raises:
            AlignmentError: The rows do not come in their order; known before the file is begun.
        """
        if not np.array_equal(indices, np.arange(self.next_row, self.next_row + len(indices))):
            message = (
                "workers share a dataset in its order; pass the dataset or an unshuffled loader (expected the rows "
                f"from {self.next_row} on, got {indices[:5].tolist()}...)"
            )
            raise AlignmentError(message)
        self.next_row += len(indices)
        return True

    def begin(
        self, classes: int, meta: Mapping[str, Any], mode: str, length: int | None, shapes: Mapping[str, Shape]
    ) -> None:
        """Make room, and remember."""
        super().begin(classes, meta, mode, min(length or 0, 1), shapes)
        self.mode, self.shapes = mode, dict(shapes)
