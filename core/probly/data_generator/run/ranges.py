"""Ranges of one run: what several workers share a file by, whoever they are and wherever they run.

The rows of a dataset are cut into shards on a grid that all workers know. A worker shows once that it computes what the
others do, and computes whole shards from then on; who computes which changes nothing.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from probly.data_generator.rows import FloatRows
from probly.data_generator.run.sinks import Shape, Sink

MOST_SHARDS = 4096
"""How many shards a large run is cut into where they are not limited by their size: 64 for each of 64 workers."""
FEW_SHARDS = 64
BATCHES = 64
"""A shard has so many batches, in the middle between those of large runs and small ones: a loader that starts workers
of its own does so for each shard. Small runs have ``FEW_SHARDS``, so that there is something to share out."""


class Admission(NamedTuple):
    """What the first batch of a dataset tells, with which a worker begins a file or shows that it may share it.

    Attributes:
        rows: How many the dataset has.
        batch_size: How many a full batch has.
        classes: The number of columns; 0 if there is no row.
        mode: The output mode, decided.
        meta: The metadata of the run.
        shapes: What is kept beside each row, with its shape.
        probe: The rows of the first batch.
    """

    rows: int
    batch_size: int
    classes: int
    mode: str
    meta: Mapping[str, Any]
    shapes: Mapping[str, Shape]
    probe: FloatRows


class Receipt(NamedTuple):
    """That a shard is published: all that a driver holds of it.

    Attributes:
        number: Which shard.
        rows: How many rows it has.
        entry: What the format wants to know of it when the file is completed, as JSON; the file's id included.
    """

    number: int
    rows: int
    entry: Sequence[Any]


class RangeSink(Sink, Protocol):
    """What takes the rows of one shard."""

    def close(self) -> None:
        """Let go of rows that were not published."""


class Ranges(Protocol):
    """A file that several workers share, as one of them sees it.

    Attributes:
        decided: The output mode that it was begun with, or None before that.
        shards: How many it has when it is complete; known once the worker is admitted.
        rows: How many rows it has then.
        id: What no other file has, so that workers can tell whether they see the same one.
    """

    @property
    def decided(self) -> str | None:
        """The output mode that it was begun with."""

    @property
    def shards(self) -> int:
        """How many shards it has when it is complete."""

    @property
    def rows(self) -> int:
        """How many rows it has when it is complete."""

    @property
    def id(self) -> str:
        """What no other file has."""

    def admit(self, first: Admission, tolerance: float | None) -> None:
        """Begin the file, or compare this worker with whoever began it; called once, before anything else.

        Args:
            first: What the first batch tells.
            tolerance: How far the rows of the first batch may be away; 0 wants the same bits, None compares none.

        Raises:
            StoreError: The worker computes something else; the message says what differs.
        """

    def missing(self) -> list[int]:
        """Return the numbers of the shards that nobody has published, ascending."""

    def range(self, number: int) -> range:
        """Return the rows of a shard."""

    def sink(self, number: int) -> Any:
        """Return what takes the rows of a shard; a ``RangeSink``."""

    def publish(self, number: int, sink: Any) -> Receipt:
        """Publish a shard, whole or not at all, unless another worker has; the first one wins."""


OpenRanges = AbstractContextManager[Ranges]


def grid_rows(rows: int, batch_size: int, row_bytes: float, megabytes: float, wanted: int | None) -> int:
    """Return how many rows a shard has: what was asked for, or what suits the run, at most so many megabytes.

    Raises:
        ValueError: What was asked for is no multiple of the batch size.

    Examples:
        >>> [grid_rows(rows, 64, 4000, 64, None) for rows in (5_000, 1_000_000, 50_000_000)]
        [128, 4096, 12224]
        >>> grid_rows(50_000_000, 64, 40_000, 64, None), grid_rows(10, 4, 8, 64, 8)
        (1728, 8)
    """
    if wanted is None:
        largest = max(int(megabytes * 2**20 / max(row_bytes, 1)), 1)
        suited = max(-(-rows // MOST_SHARDS), min(BATCHES * batch_size, -(-rows // FEW_SHARDS)), 1)
        return -(-min(largest, suited) // batch_size) * batch_size
    if wanted < 1 or wanted % batch_size:
        nearest = max(round(wanted / batch_size), 1) * batch_size
        message = (
            f"shard_rows: expected a multiple of the batch size, {batch_size}, got {wanted}; pass {nearest}, so that "
            "the same rows are in the same batch whoever computes them"
        )
        raise ValueError(message)
    return wanted


def range_of(number: int, rows: int, shard_rows: int) -> range:
    """Return the rows of a shard.

    Examples:
        >>> range_of(2, 10, 4)
        range(8, 10)
    """
    return range(rows)[number * shard_rows : (number + 1) * shard_rows]


def share_of(share: tuple[int, int], shards: int) -> range:
    """Return the numbers of the shards that are a worker's own, where so many workers share them out beforehand.

    Examples:
        >>> [share_of((number, 3), 8) for number in range(3)]
        [range(0, 2), range(2, 5), range(5, 8)]
    """
    number, workers = share
    return range(number * shards // workers, (number + 1) * shards // workers)
