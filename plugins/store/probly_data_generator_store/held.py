"""The rows of the shard that is not published yet."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from probly_data_generator_store.shards import Range, label_tensor

Array = npt.NDArray[Any]

AT_ONCE = 256 << 20  # buffers of larger shards grow as they fill


class Held:
    """Consecutive rows, copied into buffers that are used again for the next shard.

    Every change counts only once ``count`` has grown, so an interruption at any point leaves whole batches.

    Args:
        capacity: The rows that a full shard has; a larger number of them costs time, never rows.

    Attributes:
        start: The first row.
        count: The number of rows.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.start = 0
        self.count = 0
        self._buffers: dict[str, Array] = {}
        self._labels: dict[int, Array] | None = {}

    @property
    def rows(self) -> Range:
        """The rows that are held."""
        return Range(self.start, self.start + self.count)

    def drop(self) -> None:
        """Forget the rows."""
        self.count = 0
        self._labels = {}

    def add(self, tensors: Mapping[str, Array], labels: Any, rows: int) -> None:
        """Take a copy of some rows; a model may hand out the same array again."""
        stop = self.count + rows
        for name, values in tensors.items():
            self._room(name, values, stop)[self.count : stop] = values
        self._add_labels(labels, rows)
        self.count = stop

    def _room(self, name: str, values: Array, rows: int) -> Array:
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < rows:
            whole = min(self.capacity + len(values), max(2 * rows, AT_ONCE // max(values[:1].nbytes, 1)))
            larger = np.empty((max(rows, whole), *values.shape[1:]), values.dtype)
            if buffer is not None:
                larger[: self.count] = buffer[: self.count]
            self._buffers[name] = buffer = larger
        return buffer

    def _add_labels(self, labels: Any, rows: int) -> None:
        # As in memory: labels that are no array with one entry per row, in one batch, are none.
        usable = isinstance(labels, np.ndarray) and labels.ndim > 0 and len(labels) == rows
        usable = usable and label_tensor(labels) is not None
        if self._labels and usable:
            usable = labels.shape[1:] == next(iter(self._labels.values())).shape[1:]
        if self._labels is None or not usable:
            self._labels = None
        else:
            self._labels[self.count] = labels.copy()

    def first_tensor(self) -> Any:
        """Return the bytes of the first tensor, the one that is written before the shard is closed."""
        buffer = next(iter(self._buffers.values()))[: self.count]
        return buffer.data.cast("B") if buffer.nbytes else b""

    def tensors(self) -> tuple[dict[str, Array], str | None]:
        """Return the tensors of a shard, and the dtype of labels that are text."""
        tensors = {name: buffer[: self.count] for name, buffer in self._buffers.items()}
        parts = [labels for first, labels in (self._labels or {}).items() if first < self.count]
        found = label_tensor(np.concatenate(parts)) if parts else None
        if found is None:
            return tensors, None
        return {**tensors, "labels": found[0]}, found[1]
