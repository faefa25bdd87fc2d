"""The rows of a store: on the disk until they are asked for, one by one, in slices, in any order, or block by block."""

import functools
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import StoreError
from probly.data_generator.indices import whole_numbers
from probly.data_generator.rows import FloatRows
from probly.data_generator.run.sinks import Stored
from probly.data_generator.toolkit.places import Place
from probly.data_generator.toolkit.samples import Indices
from probly_data_generator_store.kept import StoredColumn
from probly_data_generator_store.mapped import MappedShards
from probly_data_generator_store.shards import Range
from probly_data_generator_store.spec import Spec


class StoredRows(Distributions):
    """Distributions whose rows are read when they are asked for; a part of ``Store``.

    Args:
        path: The folder.
        spec: What the store is.
        shards: The ranges of rows, ascending, with the checksums that the manifest lists.
        complete: Whether every row is there.
    """

    def __init__(self, path: Place, spec: Spec, shards: dict[Range, str | None], *, complete: bool) -> None:
        self.path, self.spec, self.complete = path, spec, complete
        self.meta = dict(spec.meta)
        self._shards = MappedShards(path, spec, shards)
        self._views = self._shards.views
        self._ranges = self._shards.ranges
        self._starts = [rows.start for rows in self._ranges]
        self._first_rows = np.asarray(self._starts, np.int64)
        self._stops = [rows.stop for rows in self._ranges]
        self._length = sum(self._stops) - sum(self._starts)
        self._whole = not self._stops or self._length == self._stops[-1]  # without gaps
        self._counted = not self._stops or (self._whole and not spec.keyed)
        self._keys: Indices | None = None
        # Read when they are asked for.
        self.columns: Mapping[str, Any] = {
            name: StoredColumn(kept, self._length, functools.partial(self._shards.kept, name))
            for name, kept in spec.columns.items()
        }

    @property
    def num_classes(self) -> int:
        """The number of columns."""
        return self.spec.classes

    @property
    def indices(self) -> Indices:  # type: ignore[override]  # made when asked for
        """The dataset indices of the rows, ascending."""
        if self._keys is None:
            self._keys = self._read_keys() if self.spec.keyed else self._count_up()
            self._keys.flags.writeable = False
        return self._keys

    def _count_up(self) -> Indices:
        return np.concatenate([np.arange(0), *(np.arange(start, stop) for start, stop in self._ranges)])

    def _read_keys(self) -> Indices:
        keys = self._shards.column("keys")
        if keys is None:
            return np.arange(0)
        if keys[0] < 0 or (np.diff(keys) <= 0).any():
            message = f"{self.path}: expected ascending dataset indices of at least 0"
            raise StoreError(message)
        return keys

    def head(self, count: int) -> Distributions:
        """Return the first rows with their labels and all of the metadata; the shards that hold them are read."""
        return Distributions.head(type(self)(self.path, self.spec, self._shards.first(count), complete=False), count)

    @property
    def labels(self) -> npt.NDArray[Any] | None:  # type: ignore[override]  # read when asked for
        """The labels in the order of ``indices``, or None if not every shard has them."""
        return self._shards.column("labels")

    @property
    def sample_keys(self) -> npt.NDArray[Any] | None:
        """The keys that the run was given for the samples, in the order of ``indices``, or None."""
        return self._shards.column("sample_keys")

    @property
    def probabilities(self) -> FloatRows:  # type: ignore[override]  # read when asked for
        """All rows in memory, without a copy only if they are float32 in one shard."""
        if len(self._ranges) == 1 and self._shards.encoding.exact:
            return self._shards.rows(0, slice(None))
        rows = np.empty((self._length, self.num_classes), np.float32)
        position = 0
        for _, block in self.blocks():
            rows[position : position + len(block)] = block
            position += len(block)
        rows.flags.writeable = False
        return rows

    def blocks(self, *, writable: bool = False) -> Iterator[tuple[range, FloatRows]]:
        """Yield all rows: shard by shard and without a copy if they are float32, else in blocks of a few megabytes.

        Args:
            writable: Give arrays that may be written to, for libraries that know no read-only memory.
                Writing changes them for this process only, never the file.

        Yields:
            The positions of the rows (their dataset indices, unless the store was saved with others), and the rows.
        """
        for number, (first, _) in enumerate(self._ranges):
            if writable and self._shards.encoding.exact:
                yield range(*self._ranges[number]), self._shards.writable(number).tensors["probs"]
                continue
            for part in self._shards.parts(number):
                yield range(first + part.start, first + part.stop), self._shards.rows(number, part)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._length

    @overload
    def __getitem__(self, index: int) -> FloatRows: ...
    @overload
    def __getitem__(self, index: slice) -> FloatRows: ...
    def __getitem__(self, index: Any) -> FloatRows:
        """Return the row of a dataset index, or the rows of a slice of them; float32 rows of one shard are views.

        Raises:
            KeyError: There is none.
        """
        if isinstance(index, slice):
            return self._slice(index)
        if not isinstance(index, int | np.integer):
            message = f"No distribution for index {index!r}: expected an integer; use gather for several"
            raise KeyError(message)
        if self._counted:  # the rest of this branch is what a training loop pays per row
            number = bisect_right(self._starts, index) - 1
            if number >= 0 and index < self._stops[number]:
                view = self._views[number]
                if view is not None:
                    row: FloatRows = view[index - self._starts[number]]
                    return row
        return self._one(index)

    def _one(self, index: Any) -> FloatRows:
        position = int(self._positions(np.asarray([index], np.int64))[0])
        number = bisect_right(self._starts, position) - 1
        local = position - self._starts[number]
        row: FloatRows = self._shards.rows(number, slice(local, local + 1))[0]
        return row

    def _slice(self, wanted: slice) -> FloatRows:
        stop = len(self) if self._counted else int(self.indices[-1]) + 1 if len(self) else 0
        start, stop, step = wanted.indices(stop)
        if self._counted and step == 1 and start < stop:
            number = bisect_right(self._starts, start) - 1
            first = self._starts[number]
            if stop <= self._stops[number]:
                return self._shards.rows(number, slice(start - first, stop - first))
        return self.gather(np.arange(start, stop, step))

    def gather(self, indices: npt.ArrayLike) -> FloatRows:
        """Return the rows of many dataset indices at once, shape ``(len(indices), classes)``, as a new array.

        Raises:
            KeyError: One of them has no distribution.
            AlignmentError: They are not integers.
        """
        positions = self._positions(whole_numbers(indices).reshape(-1))
        order = None if (np.diff(positions) >= 0).all() else np.argsort(positions)
        ascending = positions if order is None else positions[order]
        edges = [*ascending.searchsorted(self._first_rows).tolist(), len(ascending)]
        found = np.empty((len(positions), self.num_classes), np.float32)
        for number, (first, last) in enumerate(pairwise(edges)):
            if first < last:
                self._shards.take(number, ascending[first:last] - self._starts[number], found[first:last])
        if order is None:
            return found
        rows = np.empty_like(found)
        rows[order] = found
        return rows

    @property
    def first_stored(self) -> int | None:
        """The first dataset index that it has a row of, or None."""
        if not len(self):
            return None
        return int(self.indices[0]) if self.spec.keyed else self._starts[0]

    def stored(self, indices: Indices) -> Stored | None:
        """Return what there is of some dataset indices, and how far each entry may be from what was computed.

        The probe of a later run compares it with what its model computes; None if nothing is there.
        """
        found = np.flatnonzero(self._there(indices))
        if not len(found):
            return None
        rows = self.gather(indices[found])
        return Stored(found, rows, self._shards.encoding.rounding(rows))

    def _there(self, indices: Indices) -> npt.NDArray[np.bool_]:
        if self.spec.keyed:
            return np.isin(indices, self.indices)
        numbers = np.searchsorted(self._starts, indices, side="right") - 1
        there: npt.NDArray[np.bool_] = (numbers >= 0) & (indices < np.append(self._stops, 0)[numbers])
        return there

    def _positions(self, wanted: Indices) -> Indices:
        """Return the rows of dataset indices, counted through all shards, gaps included."""
        if self.spec.keyed or self._counted:
            places = super()._positions(wanted)
            return places if self._whole else self._count_up()[places]
        there = self._there(wanted)
        if not there.all():
            message = f"No distribution for index {wanted[~there][0]} ({self.path} holds {len(self)} rows)"
            raise KeyError(message)
        return wanted
