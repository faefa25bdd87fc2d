"""Collecting the rows of a run in memory."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import AlignmentError, InvalidOutputError
from probly.data_generator.rows import FloatRows
from probly.data_generator.toolkit.samples import Batch, Indices

MOST_ROWS_IN_ADVANCE = 2**24


class MemorySink:
    """Arrays that are filled in order of arrival and sorted once at the end.

    Args:
        length: The number of rows to expect, or None; a wrong one costs time, never rows.
        keyed: Whether the indices come from the user's index_getter, which must not repeat one.
    """

    def __init__(self, length: int | None, *, keyed: bool = False) -> None:
        self.keyed = keyed
        # A dataset may announce any length; room for a wrong one is not asked for in advance.
        self.capacity = min(length or 0, MOST_ROWS_IN_ADVANCE)
        self.count = 0
        self.rows: FloatRows | None = None
        self.indices: Indices = np.empty(self.capacity, np.int64)
        self.labels: list[Any] | None = []

    @property
    def num_classes(self) -> int:
        """The number of columns, 0 before the first batch."""
        return 0 if self.rows is None else int(self.rows.shape[1])

    def may_join(self, batches: Iterator[Batch]) -> bool:  # noqa: ARG002
        """Return whether several batches may be added as one."""
        return True

    def pending(self, batches: Iterator[Batch], skip: Callable[[int], Any]) -> Iterator[Batch]:  # noqa: ARG002
        """Return the batches that are needed: all of them."""
        return batches

    def room(self, classes: int) -> FloatRows | None:
        """Return the memory of the rows that come next, where adding them then copies nothing."""
        return self._memory(classes)[self.count :]

    def _memory(self, classes: int) -> FloatRows:
        """Return the memory of all rows, which the first ones decide the classes of."""
        if self.rows is None:
            self.rows = np.empty((self.capacity, classes), np.float32)
        return self.rows

    def add(self, indices: Indices, rows: FloatRows, labels: Any) -> None:
        """Append one batch.

        Raises:
            InvalidOutputError: It has another number of classes than the batches before.
        """
        expected = self._memory(rows.shape[1]).shape[1]
        if rows.shape[1] != expected:
            message = f"index {indices[0]}: expected {expected} classes as before, got {rows.shape[1]}"
            raise InvalidOutputError(message)
        stop = self.count + len(rows)
        if stop > self.capacity:
            self._grow(stop)
        self._memory(expected)[self.count : stop] = rows
        self.indices[self.count : stop] = indices
        self.count = stop
        self._add_labels(labels, len(rows))

    def _grow(self, needed: int) -> None:
        assert self.rows is not None
        self.capacity = max(needed, 2 * self.capacity)
        rows = np.empty((self.capacity, self.rows.shape[1]), np.float32)
        rows[: self.count] = self.rows[: self.count]
        self.rows = rows
        self.indices = np.resize(self.indices[: self.count], self.capacity)

    def _add_labels(self, labels: Any, rows: int) -> None:
        # Labels serve the metrics; what is no array with one entry per row (boxes, dicts) is none.
        usable = isinstance(labels, np.ndarray) and labels.ndim > 0 and len(labels) == rows and labels.dtype.kind != "O"
        if self.labels and usable and labels.shape[1:] != self.labels[0].shape[1:]:
            usable = False
        if self.labels is None or not usable:
            self.labels = None
        else:
            self.labels.append(labels)

    def finish(self, meta: dict[str, Any]) -> Distributions:
        """Return the distributions of all rows, in the order of their indices."""
        if self.rows is None:
            return Distributions(np.empty((0, 0), np.float32), meta=meta)
        rows, indices, labels = self.rows[: self.count], self.indices[: self.count], self._joined_labels()
        if self.count > 1 and not np.logical_and.reduce(indices[1:] > indices[:-1]):
            indices, first = np.unique(indices, return_index=True)
            if len(first) < self.count:
                self._check_repeated()
                message = (
                    f"the sampler repeated {self.count - len(first)} of {self.count} rows; kept the first row per index"
                )
                warnings.warn(message, stacklevel=4)
            rows, labels = rows[first], None if labels is None else labels[first]
        return Distributions.of_checked(rows, indices, labels, meta)

    def _check_repeated(self) -> None:
        """Refuse an index that the user's own function gave twice; a sampler may repeat samples."""
        if self.keyed:
            values, counts = np.unique(self.indices[: self.count], return_counts=True)
            message = (
                f"index_getter returned the index {values[counts > 1][0]} for {counts[counts > 1][0]} samples; "
                "expected another index for each"
            )
            raise AlignmentError(message)

    def _joined_labels(self) -> npt.NDArray[Any] | None:
        return np.concatenate(self.labels) if self.labels else None
