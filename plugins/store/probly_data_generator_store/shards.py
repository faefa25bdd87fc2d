"""The shards of a store: their names, the rows they cover, and reading one."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import StoreError
from probly.data_generator.toolkit.places import Place
from probly_data_generator_store import columns, files, kept, layout
from probly_data_generator_store.encodings import Encoding
from probly_data_generator_store.spec import SHARDS, Spec

NAME = re.compile(r"([0-9]{12,18})-([0-9]{12,18})\.safetensors")
NORMALISED = "normalised_rows"
"""The entry of a shard and of the manifest that counts rows that were divided by their sum; none stands for 0."""


class Range(NamedTuple):
    """Rows from ``start`` up to, but without, ``stop``."""

    start: int
    stop: int

    @property
    def file_name(self) -> str:
        """The name of the shard that holds these rows."""
        return f"{self.start:012}-{self.stop:012}.safetensors"


def check_no_link(folder: Place) -> None:
    """Refuse a link in place of the folder of shards: a reader leaves the store's folder for nothing in it.

    Raises:
        StoreError: It is one.
    """
    if isinstance(folder, Path) and folder.is_symlink():
        message = f"{folder}: expected a folder, got a link"
        raise StoreError(message)


def list_names(store: Place) -> list[str]:
    """Return the names in the folder of shards, in one listing.

    Raises:
        StoreError: The folder cannot be read.
    """
    folder = store / SHARDS
    check_no_link(folder)
    try:
        return files.names(folder)
    except OSError as error:
        message = f"{folder}: cannot be read: {error}"
        raise StoreError(message) from error


def list_shards(store: Place) -> list[Range]:
    """Return the rows that are published, by the names of the shards, in ascending order.

    Raises:
        StoreError: The folder cannot be read, or two shards overlap.
    """
    return ranges_in(store, list_names(store))


def ranges_in(store: Place, names: Sequence[str]) -> list[Range]:
    """Return the rows of the shards among some names; see ``list_shards``."""
    matches = [NAME.fullmatch(name) for name in names]
    ranges = sorted(Range(int(match[1]), int(match[2])) for match in matches if match)
    position = 0
    for rows in ranges:
        if rows.start < position or rows.stop <= rows.start:
            message = (
                f"{store / SHARDS / rows.file_name}: is empty, or shares rows with the shard before it; remove one of "
                "them"
            )
            raise StoreError(message)
        position = rows.stop
    return ranges


def gaps(ranges: Sequence[Range], start: int, stop: int) -> list[Range]:
    """Return the parts of ``start`` ... ``stop`` that are in none of some ascending ranges.

    Examples:
        >>> gaps([Range(2, 4), Range(6, 7)], 0, 10)
        [Range(start=0, stop=2), Range(start=4, stop=6), Range(start=7, stop=10)]
    """
    found = []
    for taken in ranges:
        if taken.start >= stop:
            break
        if taken.start > start:
            found.append(Range(start, taken.start))
        start = max(start, taken.stop)
    if start < stop:
        found.append(Range(start, stop))
    return found


class Shard(NamedTuple):
    """An open shard: its range, what its header says, and its tensors mapped from the file."""

    rows: Range
    metadata: dict[str, str]
    tensors: dict[str, npt.NDArray[Any]]

    def column(self, name: str) -> npt.NDArray[Any] | None:
        """Return what stands beside the rows under a name, or None."""
        return columns.unpacked(name, self.tensors, self.metadata)


def read_shard(
    store: Place, spec: Spec, rows: Range, encoding: Encoding, *, checked: bool = True, writable: bool = False
) -> Shard:
    """Verify and map one shard.

    Raises:
        StoreError: It is missing, damaged, of another store or range, or does not hold what the spec says.
    """
    path = store / SHARDS / rows.file_name
    header, tensors = layout.read_file(path, checked=checked, writable=writable)
    metadata = header.metadata
    if metadata.get("store") != spec.id:
        message = (
            f"{path}: belongs to another store, or to an older run; remove it, and the same call generates its rows"
        )
        raise StoreError(message)
    if (metadata.get("start"), metadata.get("stop")) != (str(rows.start), str(rows.stop)):
        message = f"{path}: holds the rows {metadata.get('start')} to {metadata.get('stop')}; it was renamed"
        raise StoreError(message)
    count = rows.stop - rows.start
    try:
        encoding.check(tensors, count, spec.classes)
        columns.check(tensors, metadata, count)
        kept.check(tensors, spec.columns, encoding, count)
        if spec.keyed:
            _check_keys(tensors.get("keys"), count)
    except ValueError as error:
        message = f"{path}: {error}"
        raise StoreError(message) from error
    return Shard(rows, metadata, tensors)


def _check_keys(keys: npt.NDArray[Any] | None, rows: int) -> None:
    if keys is None or keys.dtype != np.int64 or keys.shape != (rows,) or (np.diff(keys) <= 0).any():
        message = f"tensor 'keys': expected int64[{rows}], ascending"
        raise ValueError(message)
