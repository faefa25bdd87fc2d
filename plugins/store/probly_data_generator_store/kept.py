"""Columns that are kept beside the rows, members, logits and hidden layers, as tensors of a shard, and back.

Members are distributions, and kept as the rows are: in full, in half precision, or by their largest entries. Every
other column is kept as it is.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.run.members import MEMBERS
from probly_data_generator_store import layout
from probly_data_generator_store.encodings import NUMBERS_AT_ONCE, Encoding

Array = npt.NDArray[Any]
MOST_NUMBERS = 2**26
"""What a column may have per row: a row of them takes 512 MB at most."""


class Kept(NamedTuple):
    """What a column is: its dtype, little-endian, and the shape of its entry for one row."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """The numbers per row."""
        return math.prod(self.shape)


def described(columns: Mapping[str, Any]) -> dict[str, Kept]:
    """Return what columns are.

    Raises:
        TypeError: One holds no numbers that a tensor can hold; the message names it.

    Examples:
        >>> described({"logits": np.zeros((7, 3), np.float32)})
        {'logits': Kept(dtype='<f4', shape=(3,))}
    """
    found = {}
    for name, column in columns.items():
        dtype = column.dtype.newbyteorder("<").str
        if dtype not in layout.NAMES:
            message = f"columns: {name!r}: expected numbers of at most 64 bits, got the dtype {column.dtype}"
            raise TypeError(message)
        found[name] = Kept(dtype, tuple(column.shape[1:]))
    return found


def read_description(content: Mapping[str, Any], classes: int) -> dict[str, Kept]:
    """Return what a file says of its columns.

    Raises:
        ValueError: It says something else, or claims more than there can be.
    """
    found = {}
    for name, entry in content.items():
        if (
            not isinstance(entry, list)
            or len(entry) != 2
            or not isinstance(entry[0], str)
            or entry[0] not in layout.NAMES
            or not isinstance(entry[1], list)
            or not all(type(length) is int for length in entry[1])
        ):
            message = f"column {name!r}: expected a dtype and the shape of a row, got {str(entry)[:40]}"
            raise ValueError(message)
        kept = Kept(entry[0], tuple(entry[1]))
        negative = any(length < 0 for length in kept.shape)
        if negative or len(kept.shape) > 16 or math.prod(max(length, 1) for length in kept.shape) > MOST_NUMBERS:
            message = f"column {name!r}: expected at most {MOST_NUMBERS} numbers per row, got the shape {kept.shape}"
            raise ValueError(message)
        if name == MEMBERS and (kept.dtype != "<f4" or len(kept.shape) != 2 or kept.shape[1] != classes):
            message = f"column {name!r}: expected float32 of the shape (members, {classes}), got {kept}"
            raise ValueError(message)
        found[name] = kept
    return found


def tensors_of(columns: Mapping[str, Array], encoding: Encoding) -> dict[str, Array]:
    """Return the tensors of some rows of columns."""
    tensors: dict[str, Array] = {}
    for name, values in columns.items():
        if name == MEMBERS:
            encoded = encoding.encode(values.reshape(-1, values.shape[2]))
            tensors |= {
                f"{MEMBERS}.{part}": tensor.reshape(*values.shape[:2], *tensor.shape[1:])
                for part, tensor in encoded.items()
            }
        else:
            tensors[f"column.{name}"] = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return tensors


def row_bytes(columns: Mapping[str, Kept], encoding: Encoding) -> int:
    """Return the bytes that the columns take per row."""
    return sum(
        kept.shape[0] * encoding.row_bytes(kept.shape[1])
        if name == MEMBERS
        else kept.size * np.dtype(kept.dtype).itemsize
        for name, kept in columns.items()
    )


def check(tensors: Mapping[str, Array], columns: Mapping[str, Kept], encoding: Encoding, rows: int) -> None:
    """Check the tensors of a shard.

    Raises:
        ValueError: A column is not there, or is not what the store says that it is.
    """
    for name, kept in columns.items():
        if name == MEMBERS:
            count, classes = kept.shape
            parts = {part: tensors.get(f"{MEMBERS}.{part}") for part in encoding.columns(classes)}
            for part, tensor in parts.items():
                if tensor is None or tensor.shape[:2] != (rows, count):
                    message = f"tensor {MEMBERS}.{part!r}: expected {rows} rows of {count} members"
                    raise ValueError(message)
            encoding.check(_flat(tensors, slice(None), encoding, classes), rows * count, classes)
            continue
        found, shape = tensors.get(f"column.{name}"), (rows, *kept.shape)
        if found is None or found.dtype != np.dtype(kept.dtype) or found.shape != shape:
            got = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
            message = f"tensor 'column.{name}': expected {kept.dtype}{list(shape)}, got {got}"
            raise ValueError(message)


def decode(name: str, kept: Kept, tensors: Mapping[str, Array], rows: Any, encoding: Encoding) -> Array:
    """Return the entries of a column for the rows that a slice or an integer array selects."""
    if name != MEMBERS:
        values: Array = tensors[f"column.{name}"][rows]
        return values
    classes = kept.shape[1]
    flat: Array = encoding.decode(_flat(tensors, rows, encoding, classes), slice(None), classes)
    return flat.reshape(-1, *kept.shape)


def bad_member(columns: Mapping[str, Kept], tensors: Mapping[str, Array], encoding: Encoding, rows: int) -> str | None:
    """Say which member of the rows of a shard is no distribution, or return None."""
    if MEMBERS not in columns:
        return None
    count, classes = columns[MEMBERS].shape
    for part in pieces(rows, columns[MEMBERS]):
        bad = encoding.bad_row(_flat(tensors, part, encoding, classes), slice(None))
        if bad is not None:
            row, member = divmod(bad.position, count)
            return f"its row {part.start + row}, member {member}: {bad.reason}"
    return None


def _flat(tensors: Mapping[str, Array], rows: Any, encoding: Encoding, classes: int) -> dict[str, Array]:
    """Return the members of some rows one below the other, as tensors of the encoding."""
    found = {}
    for part in encoding.columns(classes):
        chosen = tensors[f"{MEMBERS}.{part}"][rows]
        found[part] = chosen.reshape(-1, *chosen.shape[2:])
    return found


class StoredColumn:
    """A column of a store: read when it is asked for, by slices or positions of rows; ``np.asarray`` reads all of it.

    Args:
        kept: What it is.
        rows: How many rows the store has.
        read: Returns the entries at some ascending positions.

    Attributes:
        shape: The number of rows, then the shape of one.
        dtype: That of the entries.
    """

    def __init__(self, kept: Kept, rows: int, read: Callable[[Array], Array]) -> None:
        self.shape, self.dtype = (rows, *kept.shape), np.dtype(kept.dtype)
        self._read = read

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        """Return what NumPy would: the entry of a row, or of those that a slice or an array selects, or a cut of it."""
        first, *others = rows if isinstance(rows, tuple) else (rows,)
        if first is None or first is Ellipsis:  # of all rows
            whole: Array = self[:][rows]
            return whole
        if isinstance(first, slice):
            positions = np.arange(*first.indices(len(self)))
        else:
            positions = np.asarray(np.arange(len(self))[first])
        order = np.argsort(positions, axis=None, kind="stable")
        found = np.empty((positions.size, *self.shape[1:]), self.dtype)
        found[order] = self._read(positions.reshape(-1)[order])
        if not others:
            return found.reshape(*positions.shape, *self.shape[1:])
        # Slices and arrays do not mix with other axes in the same way.
        chosen = slice(None) if isinstance(first, slice) else np.arange(positions.size).reshape(positions.shape)
        cut: Array = found[(chosen, *others)]
        return cut

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return all of it as one new array."""
        if copy is False:
            message = "a column of a store is read from the disk; np.asarray copies it"
            raise ValueError(message)
        return np.asarray(self[:], dtype)

    def __repr__(self) -> str:
        """Return what it is in one line."""
        return f"StoredColumn({self.dtype}{list(self.shape)})"


def pieces(count: int, kept: Kept) -> list[slice]:
    """Return slices that cut so many rows into pieces of little memory."""
    step = max(1, NUMBERS_AT_ONCE // max(kept.size, 1))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]
