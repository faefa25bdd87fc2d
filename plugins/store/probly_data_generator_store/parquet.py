"""Parquet, for pandas, Polars, DuckDB and Spark.

The columns are ``index`` (int64), ``probabilities`` (a fixed-size list of float32, one value per class) and ``label``
where known, and others by their names (lists of lists of numbers) where columns are kept; the metadata is JSON under a
key of the schema's own. One list column, not one column per class: class
names need be neither unique nor different from "index" and "label", thousands of columns make Parquet slow, and
``np.stack(frame["probabilities"])``, in Polars ``frame["probabilities"].to_numpy()``, is the matrix again.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.digest import DIGEST, compared, encode_with_digest
from probly.data_generator.formats.shared import (
    Array,
    check_size,
    decode_json,
    decode_meta,
    label_array,
    optional_library,
    reading,
    simple_labels,
)
from probly_data_generator_store.kept import described
from probly_data_generator_store.parquet_pages import check_pages

COLUMNS = ("index", "probabilities", "label")
KEEPS_COLUMNS = True
KEPT = b"probly.data_generator.columns"  # the names of those that are kept beside the rows
META = b"probly.data_generator.meta"
META_SUM = b"probly.data_generator.meta_crc32"  # pages have sums of their own, the schema has not
META_ROWS = b"probly.data_generator.rows"  # libraries keep the metadata for a part of the rows, which has no digest
CHECKED = ("the CRC-32 of its pages, where it has them, and of its metadata",)
"""What reading such a file compares besides its digest."""
MISSHAPEN = (KeyError, TypeError, IndexError, AttributeError)  # a footer with other fields than a footer has
OURS = "probabilities.list.probability"  # a file with this name in its schema has metadata, or has lost it
NUMBERS_PER_ROW_GROUP = 2**22


def write(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
    """Write a file, one row group of about 16 MB after another.

    Raises:
        ImportError: pyarrow is not installed.
        TypeError: The metadata is not JSON-serialisable, or the labels are neither numbers nor text.
        ValueError: The metadata holds NaN or infinity.
    """
    pa = optional_library("pyarrow", "parquet")
    pq = optional_library("pyarrow.parquet", "parquet")
    indices, labels = distributions.indices, simple_labels(path, distributions.labels)
    examples: dict[str, Array] = {"index": indices, "probabilities": distributions.gather([])}
    if labels is not None:
        examples["label"] = labels
    kept = described(distributions.columns)
    for name, column in kept.items():
        if name in COLUMNS:
            message = f"{path}: columns: {name!r} is what Parquet calls a column of its own here; give it another name"
            raise ValueError(message)
        examples[name] = np.empty((0, *column.shape), column.dtype)
    fields = [
        pa.field(name, _type(pa, name, values), nullable=values.dtype.kind == "O") for name, values in examples.items()
    ]
    text = encode_with_digest(path, distributions, meta)
    sums = {META_SUM: str(zlib.crc32(text)).encode(), META_ROWS: str(len(distributions)).encode()}
    names = {KEPT: json.dumps(list(kept)).encode()} if kept else {}
    schema = pa.schema(fields, {META: text, **sums, **names})
    # Dictionaries would not help probabilities, and would let a small file decode to a huge one; see check_size.
    options = {"use_dictionary": False, "compression": "snappy", "write_page_checksum": True}
    options["use_compliant_nested_type"] = False  # keep our name for the values of a list
    with replacing(path) as file, pq.ParquetWriter(file, schema, **options) as writer:
        width = sum(column.size for column in kept.values()) / max(distributions.num_classes, 1)
        for part, rows in row_blocks(distributions, int(NUMBERS_PER_ROW_GROUP / (1 + width))):
            block: list[Array] = [indices[part], rows, *([] if labels is None else [labels[part]])]
            block += [np.asarray(distributions.columns[name][part]) for name in kept]
            columns = [_column(pa, values, field.type) for values, field in zip(block, fields, strict=True)]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _type(pa: Any, name: str, values: Array) -> Any:
    """Return the Arrow type of one row: a number or text, in a list per further axis."""
    kind = pa.string() if values.dtype.kind in "UO" else pa.from_numpy_dtype(values.dtype)
    element = "probability" if name == "probabilities" else "element"
    for width in reversed(values.shape[1:]):
        # pyarrow 26 divides by a fixed size, 0 included, and crashes; -1 stands for any size.
        kind = pa.list_(pa.field(element, kind, nullable=False), width or -1)
    return kind


def _column(pa: Any, values: Array, kind: Any) -> Any:
    if values.ndim == 1:
        return pa.array(values, type=kind)
    if values.shape[1] == 0:
        return pa.array([[]] * len(values), type=kind)
    inner = values.reshape(len(values) * values.shape[1], *values.shape[2:])
    return pa.FixedSizeListArray.from_arrays(_column(pa, inner, kind.value_type), type=kind)


def read(path: Path) -> Distributions:
    """Read a file and check everything in it; one without the column ``index`` counts from 0.

    Raises:
        ImportError: pyarrow is not installed.
        FileNotFoundError: There is none.
        StoreError: It is damaged, has nulls, lists of different lengths or other columns.
    """
    pa = optional_library("pyarrow", "parquet")
    pq = optional_library("pyarrow.parquet", "parquet")
    file_bytes = path.stat().st_size
    with path.open("rb") as file, reading(path, pa.ArrowException, OSError, *MISSHAPEN):
        check_pages(file, file_bytes)
        metadata = pq.read_metadata(file)
        leaves = [metadata.schema.column(place).path for place in range(metadata.num_columns)]
        # As a dictionary, text that is repeated a million times takes its room once.
        texts = [leaf for leaf in leaves if leaf.split(".")[0] == "label"]
        parquet = pq.ParquetFile(file, metadata=metadata, page_checksum_verification=True, read_dictionary=texts)
        kept = _kept(metadata.metadata or {})
        _check_schema(pa, parquet.schema_arrow, kept)
        meta = _meta(metadata.metadata or {}, needed=OURS in leaves)
        columns = _columns(pa, parquet, file_bytes)
        if (metadata.metadata or {}).get(META_ROWS) != str(metadata.num_rows).encode():
            meta.pop(DIGEST, None)
        labels = columns.get("label")
        if labels is not None and labels.dtype == object:  # text, or numbers of which some are missing
            # What stands in the file once, in a dictionary, may be the label of many rows.
            check_size(4 * sum(len(label) for label in labels if isinstance(label, str)), file_bytes)
            labels = label_array(labels.tolist())
        beside = {name: columns[name] for name in kept}
        return compared(columns["probabilities"], columns.get("index"), labels, meta, beside)


def _kept(metadata: Mapping[bytes, bytes]) -> list[str]:
    """Return the names of the columns that are kept beside the rows."""
    names = decode_json(metadata.get(KEPT, b"[]"))
    if not isinstance(names, list) or not all(isinstance(name, str) and name not in COLUMNS for name in names):
        message = f"expected names of columns in its metadata, got {str(names)[:40]}"
        raise ValueError(message)
    return names


def _check_schema(pa: Any, schema: Any, kept: list[str]) -> None:
    names, known = schema.names, {*COLUMNS, *kept}
    if len(set(names)) < len(names) or "probabilities" not in names or not set(kept) <= set(names) <= known:
        message = f"expected columns called {', '.join(COLUMNS)}, the second at least, got {', '.join(names) or 'none'}"
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


def _columns(pa: Any, parquet: Any, file_bytes: int) -> dict[str, Array]:
    """Return every column as an array with one entry per row, filled block by block."""
    schema, total = parquet.schema_arrow, parquet.metadata.num_rows
    check_size(8 * total, file_bytes)
    width = getattr(schema.field("probabilities").type, "list_size", 1024)
    nothing = pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
    batches = parquet.iter_batches(max(1, 2**20 // width)) if total else [nothing]
    found: dict[str, Array] = {}
    filled = 0
    for batch in batches:
        batch.validate(full=True)  # an index beyond its dictionary, or below it, would give a wrong label
        for name in schema.names:
            block = _labels_of(pa, batch.column(name)) if name == "label" else _dense(pa, batch.column(name))
            if name in found and found[name].dtype != block.dtype:  # the first that is missing, or none in this block
                found[name] = found[name].astype(object)
            if name not in found:
                check_size(total * block[:1].nbytes, file_bytes)
                found[name] = np.empty((total, *block.shape[1:]), block.dtype)
            found[name][filled : filled + len(block)] = block
        filled += len(batch)
    if filled != total:
        message = f"expected {total} rows, got {filled}"
        raise ValueError(message)
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
