"""The rows of one shard of a shared store, taken from a run; see ``run.sinks.Sink``."""

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import AlignmentError, InvalidOutputError, StoreError
from probly.data_generator.rows import FloatRows
from probly.data_generator.run.sinks import NORMALISED, Shape, Stored, usable_labels
from probly.data_generator.toolkit.places import Place
from probly.data_generator.toolkit.samples import LABELS, Indices
from probly_data_generator_store import kept, layout
from probly_data_generator_store.admission import refuse_other_rows
from probly_data_generator_store.encodings import Encoding
from probly_data_generator_store.held import Held
from probly_data_generator_store.manifest import Entry, entry_from
from probly_data_generator_store.publisher import Publisher
from probly_data_generator_store.shards import Range, Shard, list_shards
from probly_data_generator_store.spec import SHARDS, Spec


class RangeSink:
    """Rows ``start`` to ``stop`` of a store, held until ``publish``.

    Args:
        path: The store.
        spec: Its spec.
        encoding: How rows are kept.
        rows: Which rows.
        sample_keys: The keys of all samples, or None.
        further: What else the metadata of the shard say.
        tolerance: How far the first rows of the dataset may be from those of the first batch; None to compare none.
    """

    first_stored: int | None = None
    safe_rows = 0

    def __init__(
        self,
        path: Place,
        spec: Spec,
        encoding: Encoding,
        rows: Range,
        sample_keys: npt.NDArray[Any] | None,
        further: Mapping[str, str],
        tolerance: float | None = None,
    ) -> None:
        self.path, self.spec, self.encoding, self.rows = path, spec, encoding, rows
        self.sample_keys, self.further, self._tolerance = sample_keys, further, tolerance
        self.first_needed = rows.start
        self.decided = spec.decided
        self._next: int | None = None
        self._held = Held(rows.stop - rows.start)
        self._held.start = rows.start
        self._disk = Publisher(path, lambda: "as many for each shard", self._published_rows)

    def _published_rows(self) -> int:
        with contextlib.suppress(StoreError):
            return sum(rows.stop - rows.start for rows in list_shards(self.path))
        return 0

    def needs(self, indices: Indices) -> bool:
        """Return whether a batch is of the range; a dataset that cannot be entered there gives those before, too.

        Raises:
            AlignmentError: It is not in dataset order, or half in the range.
        """
        first, stop = int(indices[0]), int(indices[-1]) + 1
        in_order = len(indices) == stop - first and (np.diff(indices) == 1).all() and self._next in (None, first)
        if self._next is None and first > self.rows.start:
            in_order = False
        if not in_order:
            message = (
                "a store is written in dataset order; pass the dataset or an unshuffled loader (expected the rows from "
                f"{self.rows.start if self._next is None else self._next} on, got {indices[:5].tolist()}...)"
            )
            raise AlignmentError(message)
        self._next = stop
        if stop <= self.rows.start:
            return False
        if first < self.rows.start or stop > self.rows.stop:
            message = (
                f"the batch of the rows {first} to {stop} is not whole in the shard of the rows {self.rows.start} to "
                f"{self.rows.stop}; let shard_rows be a multiple of the batch size of the loader"
            )
            raise AlignmentError(message)
        return True

    def stored(self, indices: Indices) -> Stored | None:  # noqa: ARG002
        """Return None: a shard is published whole."""
        return None

    def begin(
        self,
        classes: int,
        meta: Mapping[str, Any],  # noqa: ARG002
        mode: str,  # noqa: ARG002
        length: int | None,
        shapes: Mapping[str, Shape],
    ) -> None:
        """Compare with what the store was begun with.

        Raises:
            AlignmentError: The dataset has another length.
            InvalidOutputError: The model returns something of another shape.
        """
        if length != self.spec.rows:
            message = f"{self.path}: expected {self.spec.rows} rows as in the store, got {length}"
            raise AlignmentError(message)
        columns = {name: kept.Kept("<f4", tuple(shape)) for name, shape in shapes.items()}
        if classes and (classes != self.spec.classes or columns != self.spec.columns):
            message = (
                f"index {self.rows.start}: expected {self.spec.classes} classes and {self.spec.columns} as in the "
                f"store, got {classes} and {columns}"
            )
            raise InvalidOutputError(message)

    def write(self, indices: Indices, rows: FloatRows, columns: Mapping[str, Any]) -> None:
        """Take a copy of the rows of a batch.

        Raises:
            StoreError: They are the first ones, and those that the store was begun with are others.
        """
        if indices[0] == 0 and self._tolerance is not None:
            refuse_other_rows(self.path, self.spec, rows, self._tolerance)
        labels = columns.get(LABELS)
        usable: Any = usable_labels(labels, len(rows))
        if usable is None and labels is not None:
            usable = ()  # labels that cannot be kept
        marks = columns.get(NORMALISED)
        normalised = 0 if marks is None else int(np.count_nonzero(marks))
        beside = kept.tensors_of({name: columns[name] for name in self.spec.columns}, self.encoding)
        self._held.add({**self.encoding.encode(rows), **beside}, usable, len(indices), normalised)
        self._disk.write_early(self.path / SHARDS, self.rows.start, self._held.first_tensor())

    def finish(self) -> Distributions:
        """Return nothing: the rows are published by ``publish``, and read from the store."""
        return Distributions(np.empty((0, self.spec.classes), np.float32))

    def publish(self) -> Entry | None:
        """Publish the rows, and return what the manifest says of them; None if other ones were published before.

        Raises:
            AlignmentError: Rows are missing.
            StoreError: The disk is full or failed.
        """
        if self._held.count != self.rows.stop - self.rows.start:
            message = (
                f"{self.path}: expected the rows {self.rows.start} to {self.rows.stop} of a dataset of "
                f"{self.spec.rows}, but it ended after {self._held.count} of them; look for drop_last, a sampler that "
                "leaves samples out, or a wrong __len__"
            )
            raise AlignmentError(message)
        computed = self.computed()
        header, *data = layout.pieces(computed.tensors, computed.metadata, self._disk.done)
        size = len(header) + sum(piece.nbytes for piece in data)
        if not self._disk.publish_shard(self.path / SHARDS / self.rows.file_name, header, data):
            return None
        return entry_from(self.rows, size, layout.metadata_of(header))

    def computed(self) -> Shard:
        """Return the shard as it was computed here, whoever has published it."""
        tensors, metadata = self._held.content(self.spec.id, self.sample_keys, self.further)
        return Shard(self.rows, metadata, tensors)

    def close(self) -> None:
        """Remove what was written of a shard that was not published."""
        self._disk.discard()
