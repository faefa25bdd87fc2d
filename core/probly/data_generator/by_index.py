"""Looking up the rows of distributions by the index of their samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from probly.data_generator.indices import whole_numbers
from probly.data_generator.rows import FloatRows

if TYPE_CHECKING:
    from probly.data_generator.toolkit.samples import Indices


class ByIndex(Mapping[int, FloatRows]):
    """The part of ``Distributions`` that is a mapping from dataset index to row, over one array."""

    probabilities: FloatRows
    indices: Indices
    _counted: bool
    """Whether the indices are 0, 1, 2, ..., so that they are places."""

    def gather(self, indices: npt.ArrayLike) -> FloatRows:
        """Return the rows of many dataset indices at once, shape ``(len(indices), classes)``, as a new array.

        Raises:
            KeyError: One of them has no distribution.
        """
        return self.probabilities[self._positions(whole_numbers(indices).reshape(-1))]

    def missing(self, length: int) -> Indices:
        """Return those of the indices 0 ... length - 1 that have no distribution."""
        if self._counted:
            return np.arange(len(self), max(length, len(self)))
        return np.setdiff1d(np.arange(length), self.indices, assume_unique=True)

    def _positions(self, wanted: Indices) -> Indices:
        if self._counted:
            positions, found = wanted, (wanted >= 0) & (wanted < len(self))
        else:
            positions = np.minimum(np.searchsorted(self.indices, wanted), len(self) - 1)
            found = self.indices[positions] == wanted
        if not found.all():
            known = f"from {self.indices[0]} to {self.indices[-1]}" if len(self) else "none at all"
            message = f"No distribution for index {wanted[~found][0]} (there are {len(self)}, {known})"
            raise KeyError(message)
        return positions

    @overload
    def __getitem__(self, index: int) -> FloatRows: ...
    @overload
    def __getitem__(self, index: slice) -> FloatRows: ...
    def __getitem__(self, index: Any) -> FloatRows:
        """Return the row of a dataset index, or the rows of a slice of them, shape ``(n, classes)``.

        ``d[10:20]`` are the rows of the indices 10 to 19, and ``d.select(range(10, 20))`` distributions of them.

        Raises:
            KeyError: There is none of one of them.
        """
        if isinstance(index, slice):
            return self._rows_of_slice(index)
        if not isinstance(index, int | np.integer):
            message = f"No distribution for index {index!r}: expected an integer; use gather for several"
            raise KeyError(message)
        position: Any = int(index)  # True is the index 1, as in a dictionary
        if not self._counted or not 0 <= index < len(self):
            position = self._positions(np.asarray([index], dtype=np.int64))[0]
        row: FloatRows = self.probabilities[position]
        return row

    def _rows_of_slice(self, wanted: slice) -> FloatRows:
        stop = len(self) if self._counted else int(self.indices[-1]) + 1
        chosen = range(*wanted.indices(stop))
        if self._counted and chosen.step > 0:
            rows: FloatRows = self.probabilities[chosen.start : chosen.stop : chosen.step]
            return rows
        return self.gather(np.asarray(chosen, np.int64))

    def __contains__(self, index: object) -> bool:
        """Return whether a dataset index has a distribution."""
        if not isinstance(index, int | np.integer):
            return False
        position = int(np.searchsorted(self.indices, index))
        return position < len(self) and bool(self.indices[position] == index)

    def __iter__(self) -> Iterator[int]:
        """Yield the dataset indices in ascending order, as plain integers."""
        return iter(self.indices.tolist())

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.probabilities)
