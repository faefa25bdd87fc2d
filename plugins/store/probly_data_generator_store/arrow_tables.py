"""Distributions as tables of Arrow, which Parquet and Feather files hold, and back.

The columns are ``index`` (int64), ``sample_key`` where known, ``probabilities`` (a fixed-size list of float32, one
value per class), ``label`` where known, and others by their names (lists of lists of numbers) where columns are kept;
the metadata is JSON under a key of the schema's own. One list column, not one column per class: class names need be
neither unique nor different from "index" and "label", thousands of columns make Parquet slow, and
``np.stack(frame["probabilities"])``, in Polars ``frame["probabilities"].to_numpy()``, is the matrix again.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.distributions import Distributions
from probly.data_generator.formats.digest import DIGEST, compared, encode_with_digest
from probly.data_generator.formats.shared import (
    Array,
    check_size,
    decode_json,
    decode_meta,
    label_array,
    simple_labels,
)
from probly_data_generator_store.hub_features import class_label, features_of, named_by
from probly_data_generator_store.kept import described

COLUMNS = ("index", "sample_key", "probabilities", "label")
KEPT = b"probly.data_generator.columns"  # the names of those that are kept beside the rows
META = b"probly.data_generator.meta"
META_SUM = b"probly.data_generator.meta_crc32"  # pages have sums of their own, the schema has not
META_ROWS = b"probly.data_generator.rows"  # libraries keep the metadata for a part of the rows, which has no digest
ELEMENT = "probability"  # a file whose rows are lists of such has metadata, or has lost it
MISSHAPEN = (KeyError, TypeError, IndexError, AttributeError)  # a footer with other fields than a footer has


class Layout:
    """The schema of some distributions, and their rows in it, block by block.

    Args:
        pa: pyarrow.
        path: The file, for messages.
        distributions: The rows.
        meta: Their metadata.

    Attributes:
        schema: The schema, with the metadata.
        numbers: The numbers per row beside the probabilities.

    Raises:
        TypeError: The metadata is not JSON-serialisable, or the labels are neither numbers nor text.
        ValueError: The metadata holds NaN or infinity, or a kept column is called as one of ours.
    """

    def __init__(self, pa: Any, path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
        self._pa, self._distributions = pa, distributions
        self._labels = simple_labels(path, distributions.labels)
        self._keys = distributions.sample_keys
        self._kept = described(distributions.columns)
        taken = next((name for name in self._kept if name in COLUMNS), None)
        if taken is not None:
            message = f"{path}: columns: {taken!r} is what a column of the file is called; give it another name"
            raise ValueError(message)
        names = class_label(distributions, meta)
        examples = self._examples()
        fields = [
            pa.field("label", pa.int64())  # what `datasets` takes as a class is int64 and may be missing
            if name == "label" and names is not None
            else pa.field(name, _type(pa, name, values), nullable=values.dtype.kind == "O" and name == "label")
            for name, values in examples.items()
        ]
        text = encode_with_digest(path, distributions, meta)
        sums = {META_SUM: str(zlib.crc32(text)).encode(), META_ROWS: str(len(distributions)).encode()}
        kept = {KEPT: json.dumps(list(self._kept)).encode()} if self._kept else {}
        self.schema = pa.schema(fields, {META: text, **sums, **kept, **features_of(names)})
        self.numbers = sum(column.size for column in self._kept.values())

    def _examples(self) -> dict[str, Array]:
        """Return an array of the kind of each column."""
        given = self._distributions
        examples: dict[str, Array] = {"index": given.indices}
        if self._keys is not None:
            examples["sample_key"] = self._keys
        examples["probabilities"] = given.gather([])
        if self._labels is not None:
            examples["label"] = self._labels
        return examples | {name: np.empty((0, *one.shape), one.dtype) for name, one in self._kept.items()}

    def batch(self, part: slice, rows: Array) -> Any:
        """Return some rows as a record batch.

        Args:
            part: Which.
            rows: Their probabilities, which have been read.
        """
        given = self._distributions
        block: list[Array] = [given.indices[part], *([] if self._keys is None else [self._keys[part]]), rows]
        block += [] if self._labels is None else [self._labels[part]]
        block += [np.asarray(given.columns[name][part]) for name in self._kept]
        columns = [_column(self._pa, values, field.type) for values, field in zip(block, self.schema, strict=True)]
        return self._pa.record_batch(columns, schema=self.schema)


def _type(pa: Any, name: str, values: Array) -> Any:
    """Return the Arrow type of one row: a number or text, in a list per further axis."""
    kind = pa.string() if values.dtype.kind in "UO" else pa.from_numpy_dtype(values.dtype)
    element = ELEMENT if name == "probabilities" else "element"
    for width in reversed(values.shape[1:]):
        # pyarrow 26 divides by a fixed size, 0 included, and crashes; -1 stands for any size.
        kind = pa.list_(pa.field(element, kind, nullable=False), width or -1)
    return kind


def _column(pa: Any, values: Array, kind: Any) -> Any:
    if values.ndim == 1:  # of NumPy's texts, pyarrow would take what stands before a NUL
        return pa.array(values.tolist() if values.dtype.kind == "U" else values, type=kind)
    if values.shape[1] == 0:
        return pa.array([[]] * len(values), type=kind)
    inner = values.reshape(len(values) * values.shape[1], *values.shape[2:])
    return pa.FixedSizeListArray.from_arrays(_column(pa, inner, kind.value_type), type=kind)


def distributions_of(pa: Any, schema: Any, total: int, columns: dict[str, Array], file_bytes: int) -> Distributions:
    """Return what a file holds, compared with its digest; without a column ``index`` it counts from 0.

    Args:
        pa: pyarrow.
        schema: The schema of the file, which ``check_schema`` has found to be right.
        total: The number of its rows.
        columns: What ``filled`` has made of its columns.
        file_bytes: The size of the file.
    """
    kept = schema.metadata or {}
    inner = schema.field("probabilities").type.value_field.name
    meta = _meta(kept, needed=inner == ELEMENT)
    if kept.get(META_ROWS) != str(total).encode():
        meta.pop(DIGEST, None)
    names = named_by(kept, schema)
    if "class_names" not in meta and names is not None and len(names) == columns["probabilities"].shape[1]:
        meta["class_names"] = names
    labels, keys = columns.get("label"), columns.get("sample_key")
    if labels is not None and labels.dtype == object:  # text, or numbers of which some are missing
        _check_texts(labels, file_bytes)
        labels = label_array(labels.tolist())
    if keys is not None and keys.dtype == object:
        _check_texts(keys, file_bytes)
    beside = {name: columns[name] for name in names_kept(kept)}
    return compared(columns["probabilities"], columns.get("index"), labels, meta, beside, sample_keys=keys)


def _check_texts(texts: Array, file_bytes: int) -> None:
    """Refuse texts that stand in the file once, in a dictionary, and in too many rows."""
    check_size(4 * sum(len(text) for text in texts if isinstance(text, str)), file_bytes)


def check_schema(pa: Any, schema: Any) -> None:
    """Refuse a table with other columns than distributions have.

    Raises:
        ValueError: It has.
    """
    _check_schema(pa, schema, names_kept(schema.metadata or {}))


def names_kept(metadata: Mapping[bytes, bytes]) -> list[str]:
    """Return the names of the columns that are kept beside the rows."""
    names = decode_json(metadata.get(KEPT, b"[]"))
    if not isinstance(names, list) or not all(isinstance(name, str) and name not in COLUMNS for name in names):
        message = f"expected names of columns in its metadata, got {str(names)[:40]}"
        raise ValueError(message)
    return names


def _check_schema(pa: Any, schema: Any, kept: list[str]) -> None:
    names, known = schema.names, {*COLUMNS, *kept}
    if len(set(names)) < len(names) or "probabilities" not in names or not set(kept) <= set(names) <= known:
        message = f"expected columns called {', '.join(COLUMNS)}, the third at least, got {', '.join(names) or 'none'}"
        raise ValueError(message)
    for field in schema:
        _check_type(pa.types, field.name, field.type)
    if "index" not in names:
        _check_pandas_index((schema.metadata or {}).get(b"pandas", b"{}"))


def _check_type(types: Any, name: str, kind: Any) -> None:
    leaf, axes = kind, 1
    while _is_list(types, leaf):
        if types.is_fixed_size_list(leaf) and leaf.list_size < 1:  # pyarrow 26 divides by it and crashes
            message = f"{name}: expected lists with at least one value, got {leaf}"
            raise ValueError(message)
        leaf, axes = leaf.value_type, axes + 1
    leaf = leaf.value_type if types.is_dictionary(leaf) else leaf
    number = types.is_integer(leaf) or types.is_floating(leaf)
    fits = {
        "index": axes == 1 and types.is_integer(leaf),
        "sample_key": axes == 1 and (types.is_integer(leaf) or _is_text(types, leaf)),
        "probabilities": axes == 2 and number,
        "label": number or types.is_boolean(leaf) or _is_text(types, leaf),
    }
    if not fits.get(name, number or types.is_boolean(leaf)):
        message = f"{name}: got the type {kind}; expected integers as index, lists of numbers as probabilities"
        raise ValueError(message)


def _check_pandas_index(text: bytes) -> None:
    """Refuse a frame whose row labels, which pandas keeps outside the columns, are not 0, 1, 2, ..."""
    described = decode_json(text)
    entries = described.get("index_columns") if isinstance(described, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and (entry.get("start"), entry.get("step")) != (0, 1):
            message = f"the frame's index is {entry}; write the dataset indices as a column called index"
            raise ValueError(message)


def _is_list(types: Any, kind: Any) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_text(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def filled(pa: Any, schema: Any, total: int, batches: Iterable[Any], file_bytes: int) -> dict[str, Array]:
    """Return every column as an array with one entry per row, filled block by block.

    Args:
        pa: pyarrow.
        schema: The schema of the file.
        total: The number of its rows.
        batches: Its rows, as record batches.
        file_bytes: The size of the file.

    Raises:
        ValueError: They claim more than the file can hold, hold nulls, or are another number of rows.
    """
    check_size(8 * total, file_bytes)
    found: dict[str, Array] = {}
    done = 0
    nothing = pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
    for batch in batches if total else [nothing]:
        batch.validate(full=True)  # an index beyond its dictionary, or below it, would give a wrong label
        for name in schema.names:
            block = _labels_of(pa, batch.column(name)) if name == "label" else _dense(pa, batch.column(name))
            if name in found and found[name].dtype != block.dtype:  # the first that is missing, or none in this block
                found[name] = found[name].astype(object)
            if name not in found:
                check_size(total * block[:1].nbytes, file_bytes)
                found[name] = np.empty((total, *block.shape[1:]), block.dtype)
            found[name][done : done + len(block)] = block
        done += len(batch)
    if done != total:
        message = f"expected {total} rows, got {done}"
        raise ValueError(message)
    for column in found.values():
        column.flags.writeable = False  # nobody else has them, so they need not be copied
    return found


def _labels_of(pa: Any, column: Any) -> Array:
    """Return labels; a null is a row without one, and makes objects of the block."""
    if column.null_count and not _is_list(pa.types, column.type):
        return np.asarray(column.to_pylist(), dtype=object)
    return _dense(pa, column)


def _dense(pa: Any, column: Any) -> Array:
    """Return a column as an array; text as objects, since fixed-width text may be far larger."""
    types, kind = pa.types, column.type
    if column.null_count:
        message = f"expected no nulls, got {column.null_count} in a block"
        raise ValueError(message)
    if types.is_dictionary(kind):
        return _dense(pa, column.dictionary)[_dense(pa, column.indices)]
    if _is_list(types, kind):
        inner = _dense(pa, column.flatten())
        return inner.reshape(len(column), _width(types, column), *inner.shape[1:])
    if _is_text(types, kind):
        return np.asarray(column.to_pylist(), dtype=object)
    values: Array = column.to_numpy(zero_copy_only=False)
    return values


def _width(types: Any, lists: Any) -> int:
    if types.is_fixed_size_list(lists.type):
        return int(lists.type.list_size)
    widths = np.unique(lists.value_lengths().to_numpy())
    if len(widths) > 1:
        message = f"expected lists of one length, got the lengths {widths[:5].tolist()}"
        raise ValueError(message)
    return int(widths[0]) if len(widths) else 0


def _meta(kept: Mapping[bytes, bytes], *, needed: bool) -> dict[str, Any]:
    text, checksum = kept.get(META), kept.get(META_SUM)
    if text is None and not needed:
        return {}
    if text is None or checksum != str(zlib.crc32(text)).encode():
        message = f"its metadata ({META.decode()}) is lost or does not agree with its checksum"
        raise ValueError(message)
    return decode_meta(text)
