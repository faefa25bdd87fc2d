"""The shards of a store: their names, the rows they cover, and reading one."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import StoreError
from probly.data_generator.formats.shared import join_missing
from probly_data_generator_store import layout
from probly_data_generator_store.encodings import Encoding
from probly_data_generator_store.spec import SHARDS, Spec

NAME = re.compile(r"([0-9]{12,18})-([0-9]{12,18})\.safetensors")
COLUMNS = ("labels", "sample_keys")
"""Tensors beside the rows that hold numbers or text."""
LABELLED = "labelled"
"""The tensor that says which rows have a label, where the labels are text and some rows have none."""
TEXT = re.compile(r"[<|][US][1-9][0-9]{0,6}")


class Range(NamedTuple):
    """Rows from ``start`` up to, but without, ``stop``."""

    start: int
    stop: int

    @property
    def file_name(self) -> str:
        """The name of the shard that holds these rows."""
        return f"{self.start:012}-{self.stop:012}.safetensors"


def list_shards(store: Path) -> list[Range]:
    """Return the rows that are published, by the names of the shards, in ascending order.

    Raises:
        StoreError: The folder cannot be read, or two shards overlap.
    """
    folder = store / SHARDS
    try:
        if folder.is_symlink():
            message = f"{folder}: expected a folder, got a link"
            raise StoreError(message)
        matches = [NAME.fullmatch(path.name) for path in folder.iterdir()]
    except OSError as error:
        message = f"{folder}: cannot be read: {error}"
        raise StoreError(message) from error
    ranges = sorted(Range(int(match[1]), int(match[2])) for match in matches if match)
    position = 0
    for rows in ranges:
        if rows.start < position or rows.stop <= rows.start:
            message = (
                f"{folder / rows.file_name}: is empty, or shares rows with the shard before it; remove one of them"
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
    """An open shard: its range, and its tensors mapped from the file."""

    rows: Range
    data_checksum: str
    tensors: dict[str, npt.NDArray[Any]]
    texts: dict[str, str]

    def column(self, name: str) -> npt.NDArray[Any] | None:
        """Return what stands beside the rows under a name, or None."""
        values = self.tensors.get(name)
        if values is not None and name in self.texts:
            values = np.frombuffer(np.ascontiguousarray(values), dtype=self.texts[name])
        return join_missing(values, self.tensors.get(LABELLED)) if name == "labels" else values


def read_shard(
    store: Path, spec: Spec, rows: Range, encoding: Encoding, *, checked: bool = True, writable: bool = False
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
    texts = {name: metadata[f"{name}_dtype"] for name in COLUMNS if f"{name}_dtype" in metadata}
    try:
        encoding.check(tensors, rows.stop - rows.start, spec.classes)
        _check_extras(tensors, rows.stop - rows.start, spec.keyed, texts)
    except ValueError as error:
        message = f"{path}: {error}"
        raise StoreError(message) from error
    return Shard(rows, metadata["data_checksum"], tensors, texts)


def _check_extras(tensors: dict[str, npt.NDArray[Any]], rows: int, keyed: bool, texts: dict[str, str]) -> None:
    for name in COLUMNS:
        values, text = tensors.get(name), texts.get(name)
        if values is not None and (values.ndim == 0 or len(values) != rows):
            message = f"tensor {name!r}: expected {rows} rows, got the shape {values.shape}"
            raise ValueError(message)
        if text is not None and (values is None or not TEXT.fullmatch(text) or not _holds_text(values, text)):
            message = f"tensor {name!r}: expected text of the dtype {text[:20]!r}"
            raise ValueError(message)
    labelled = tensors.get(LABELLED)
    if labelled is not None and (labelled.dtype != np.bool_ or labelled.shape != (rows,) or "labels" not in texts):
        message = f"tensor {LABELLED!r}: expected bool[{rows}] beside labels that are text"
        raise ValueError(message)
    keys = tensors.get("keys")
    if keyed and (keys is None or keys.dtype != np.int64 or keys.shape != (rows,)):
        message = f"tensor 'keys': expected int64[{rows}]"
        raise ValueError(message)


def _holds_text(labels: npt.NDArray[Any], text: str) -> bool:
    if labels.dtype != np.uint8 or labels.shape[1:] != (np.dtype(text).itemsize,):
        return False
    # NumPy decodes UTF-32 only when an element is looked at, and then raises.
    return text[1] == "S" or not labels.size or int(np.ascontiguousarray(labels).view("<u4").max()) < 0x110000


def label_tensor(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], str | None] | None:
    """Return labels as a tensor, with the dtype of text labels; None for what no tensor can hold.

    Examples:
        >>> label_tensor(np.array(["cat"]))[1]
        '<U3'
    """
    values = np.ascontiguousarray(labels)
    if values.dtype.kind in "biuf":
        dtype = values.dtype.newbyteorder("<")
        return (values.astype(dtype, copy=False), None) if dtype.str in layout.NAMES else None
    if values.dtype.kind in "US" and values.ndim == 1 and values.dtype.itemsize:
        values = values.astype(values.dtype.newbyteorder("<"), copy=False)
        return values.view(np.uint8).reshape(len(values), values.dtype.itemsize), values.dtype.str
    return None
