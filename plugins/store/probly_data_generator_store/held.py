"""The rows of the shard that is not published yet."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.label_values import join_labels, label_values
from probly.data_generator.run.sinks import usable_labels
from probly_data_generator_store.columns import packed
from probly_data_generator_store.shards import NORMALISED, Range

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
        self._normalised: dict[int, int] = {}
        self._labels: dict[int, Array | int] | None = {}  # of each batch by its first row; the rows of one without any

    @property
    def rows(self) -> Range:
        """The rows that are held."""
        return Range(self.start, self.start + self.count)

    def drop(self) -> None:
        """Forget the rows."""
        self.count = 0
        self._labels, self._normalised = {}, {}

    @property
    def normalised(self) -> int:
        """How many of the rows were divided by their sum."""
        return sum(count for first, count in self._normalised.items() if first < self.count)

    def add(self, tensors: Mapping[str, Array], labels: Any, rows: int, normalised: int = 0) -> None:
        """Take a copy of some rows; a model may hand out the same array again."""
        stop = self.count + rows
        for name, values in tensors.items():
            self._room(name, values, stop)[self.count : stop] = values
        self._add_labels(labels, rows)
        self._normalised[self.count] = normalised
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
        # As in memory: labels that are no array with one entry per row, in one batch, are none; a batch without any
        # has rows without a label.
        if self._labels is None:
            return
        usable = usable_labels(labels, rows)
        if labels is not None and (usable is None or packed("labels", usable) is None):
            self._labels = None
        else:
            self._labels[self.count] = rows if usable is None else usable.copy()

    def first_tensor(self) -> Any:
        """Return the bytes of the first tensor, the one that is written before the shard is closed."""
        buffer = next(iter(self._buffers.values()))[: self.count]
        return buffer.data.cast("B") if buffer.nbytes else b""

    def content(
        self, store_id: str, sample_keys: Array | None, further: Mapping[str, str]
    ) -> tuple[dict[str, Array], dict[str, str]]:
        """Return the tensors of a shard of all rows, and its metadata.

        Args:
            store_id: The store that it belongs to.
            sample_keys: Those of all samples, or None.
            further: What else its metadata say.
        """
        rows = self.rows
        tensors = {name: buffer[: self.count] for name, buffer in self._buffers.items()}
        metadata = {"store": store_id, "start": str(rows.start), "stop": str(rows.stop), **further}
        if self.normalised:
            metadata[NORMALISED] = str(self.normalised)
        parts = [labels for first, labels in (self._labels or {}).items() if first < self.count]
        beside = {"labels": join_labels(parts)}
        if sample_keys is not None:
            beside["sample_keys"] = label_values(sample_keys[slice(*rows)])
        for name, values in beside.items():
            found = None if values is None else packed(name, values)
            if found is not None:  # _add_labels, and label_values.key_array, let nothing pass that is not
                tensors, metadata = {**tensors, **found[0]}, {**metadata, **found[1]}
        return tensors, metadata
