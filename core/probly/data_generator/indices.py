"""Dataset indices: what counts as one, and that each row has one of its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.samples import Indices

Array = npt.NDArray[Any]


def index_of(key: Any) -> int:
    """Return a key as an index; text of digits is one too, because that is what JSON makes of integers.

    Raises:
        AlignmentError: It is something else.
    """
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return int(key)
    if isinstance(key, str) and key.isascii() and key.isdigit():
        return int(key)
    message = f"expected integers as keys of the mapping, got {key!r}"
    raise AlignmentError(message)


def whole_numbers(values: npt.ArrayLike) -> Indices:
    """Return dataset indices as int64; a float or a mask would silently name other rows.

    Raises:
        AlignmentError: They are no integers.

    Examples:
        >>> whole_numbers([3, 1]).dtype
        dtype('int64')
    """
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        message = f"expected integers as dataset indices, got {array.dtype} such as {array.reshape(-1)[0]!r}"
        raise AlignmentError(message)
    return array.astype(np.int64)


def check_lengths(
    rows: int, keys: Indices, labels: Array | None, columns: Mapping[str, Array], sample_keys: Array | None = None
) -> None:
    """Refuse what does not have one entry per row.

    Raises:
        AlignmentError: The message says what, and how many it has.
    """
    if keys.shape != (rows,):
        message = f"expected one index per row ({rows}), got the shape {keys.shape}"
        raise AlignmentError(message)
    if labels is not None and len(labels) != rows:
        message = f"expected one label per row ({rows}), got {len(labels)}"
        raise AlignmentError(message)
    if sample_keys is not None and len(sample_keys) != rows:
        message = f"expected one of sample_keys per row ({rows}), got {len(sample_keys)}"
        raise AlignmentError(message)
    for name, column in columns.items():
        if column.shape[:1] != (rows,):
            message = f"columns: {name!r}: expected {rows} rows, got the shape {column.shape}"
            raise AlignmentError(message)


def check_ascending(keys: Indices) -> None:
    """Refuse sorted indices of which one stands twice, or is negative.

    Raises:
        AlignmentError: The message names it.
    """
    if len(keys) and keys[0] < 0:
        message = f"expected indices of at least 0, got {keys[0]}"
        raise AlignmentError(message)
    repeated = keys[1:][np.diff(keys) == 0]
    if len(repeated):
        message = f"index {repeated[0]} has more than one distribution"
        raise AlignmentError(message)
