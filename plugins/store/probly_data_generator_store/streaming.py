"""The sink of a run: which batches the store still needs, and in which order their rows may come."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.rows import FloatRows
from probly.data_generator.run.sinks import NORMALISED, Shape, Stored, usable_labels
from probly.data_generator.toolkit.samples import LABELS, Indices
from probly_data_generator_store.kept import Kept
from probly_data_generator_store.reader import Store, open_partial, open_store
from probly_data_generator_store.writer import StoreWriter


class StoreSink:
    """What a run writes to, in place of memory; see ``run.sinks.Sink``.

    A batch of which any row is missing is computed whole, as in the first run, and only what is missing is kept:
    a row that is computed in another batch may differ in its last bit.

    Args:
        writer: The open store.

    Attributes:
        stop: Where the rows that the dataset has given so far end.
    """

    def __init__(self, writer: StoreWriter) -> None:
        self.writer = writer
        self.stop = 0
        self._entered = False
        self._earlier: Store | None = None
        self._length: int | None = None
        self._columns: dict[str, Kept] = {}

    @property
    def first_needed(self) -> int:
        """The first row that is not published."""
        return self.writer.missing(0, 2**62)[0].start

    @property
    def first_stored(self) -> int | None:
        """The first row that an earlier run published."""
        return self.writer.published[0].start if self.writer.published else None

    def stored(self, indices: Indices) -> Stored | None:
        """Return what earlier runs published of a batch."""
        if self._earlier is None:
            self._earlier = open_partial(self.writer.path)
        return self._earlier.stored(indices)

    @property
    def decided(self) -> str | None:
        """The output mode that the first run on this store decided."""
        return None if self.writer.spec is None else self.writer.spec.decided

    @property
    def safe_rows(self) -> int:
        """The number of rows that are published."""
        return self.writer.safe_rows

    def needs(self, indices: Indices) -> bool:
        """Return whether a row of the next batch is missing.

        Raises:
            AlignmentError: The batch does not continue the one before, or there are more rows than keys.
        """
        first, rows = int(indices[0]), len(indices)
        if not self._entered:
            # A dataset may be entered behind its first rows, but not behind rows that are needed.
            self._entered = True
            self.stop = first if 0 < first <= self.first_needed else 0
        _check_order(indices, self.stop)
        self.stop += rows
        keys = self.writer.sample_keys
        if keys is not None and self.stop > len(keys):
            self._check_keys(self.stop)
        return bool(self.writer.missing(first, self.stop))

    def _check_keys(self, rows: int | None) -> None:
        keys = self.writer.sample_keys
        if keys is not None and rows not in (None, len(keys)):
            message = f"keys: expected one per sample, got {len(keys)} for a dataset of {rows} or more"
            raise AlignmentError(message)

    def begin(
        self, classes: int, meta: Mapping[str, Any], mode: str, length: int | None, shapes: Mapping[str, Shape]
    ) -> None:
        """Say what the store is, before its first rows; a later run must agree with the first one.

        Raises:
            AlignmentError: There are more or fewer keys than samples.
            InvalidOutputError: The store has another number of classes.
        """
        self._columns = {name: Kept("<f4", tuple(shape)) for name, shape in shapes.items()}
        self._length = length
        self._check_keys(length)
        if classes or self.writer.spec is None:  # a run that had nothing to compute knows no classes
            self.writer.begin(classes, meta, rows=length, decided=mode, columns=self._columns)

    def write(self, indices: Indices, rows: FloatRows, columns: Mapping[str, Any]) -> None:
        """Write those rows of a batch that are missing; the writer copies them."""
        first = int(indices[0])
        labels: Any = columns.get(LABELS)
        usable = usable_labels(labels, len(rows))
        without: Any = None if labels is None else ()  # no label for any row, or labels that cannot be kept
        for start, stop in self.writer.missing(first, first + len(rows)):
            chosen = slice(start - first, stop - first)
            normalised = int(np.count_nonzero(columns[NORMALISED][chosen])) if NORMALISED in columns else 0
            given = without if usable is None else usable[chosen]
            kept = {name: columns[name][chosen] for name in self._columns}
            self.writer.append(start, rows[chosen], given, normalised=normalised, columns=kept)

    def finish(self) -> Store:
        """Complete the store with the rows that the dataset had, and open it.

        Raises:
            AlignmentError: The store holds rows that the dataset does not have.
        """
        published = self.writer.published
        if not self._entered and self.first_needed == self._length:
            self.stop = self._length  # entered at its end, a dataset gives no batch
        self._check_keys(self.stop)
        if published and published[-1].stop > self.stop:
            message = (
                f"{self.writer.path}: holds rows up to {published[-1].stop}, but the dataset ended at {self.stop}; "
                "pass the dataset that the store was begun with"
            )
            raise AlignmentError(message)
        self.writer.finish(self.stop)
        return open_store(self.writer.path)


def _check_order(indices: Indices, expected: int) -> None:
    if indices[0] != expected or not (np.diff(indices) == 1).all():
        message = (
            "a store is written in dataset order; pass the dataset or an unshuffled loader "
            f"(expected the indices {expected} to {expected + len(indices) - 1}, got {indices[:5].tolist()}...)"
        )
        raise AlignmentError(message)
