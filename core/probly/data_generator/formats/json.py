"""The interchange format, readable by every backend and every language.

``{"meta": {...}, "distributions": {"0": [...], ...}, "labels": {"0": ...}}`` in UTF-8; ``labels`` only where known,
``"sample_keys": {"0": "a.png", ...}`` likewise, and
``"columns": {"members": {"0": ...}}`` only where some are kept, with their dtypes in ``"dtypes"``.
"""

import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from probly.data_generator.distributions import Distributions, blocks, row_blocks
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.digest import DIGEST, compared, encode_with_digest
from probly.data_generator.formats.shared import Array, checked_meta, decode_json, label_array, reading
from probly.data_generator.rows import SUM_TOLERANCE, decimals_tolerance
from probly.data_generator.toolkit.samples import Indices

NUMBERS_AT_ONCE = 2**16
KEEPS_COLUMNS = KEEPS_SAMPLE_KEYS = True
CHECKED = ()
"""What reading such a file compares besides its digest: nothing, text has no checksums."""

DTYPES = {np.dtype(letter).name: np.dtype(letter) for letter in "?bhilqBHILQefd"}
"""The numbers of columns."""

Encode = Callable[[Indices, Array], bytes]


def write(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
    """Write a file; a float32 value is written so that it reads back exactly.

    Raises:
        TypeError: The metadata is not JSON-serialisable.
        ValueError: It holds NaN or infinity.
    """
    header = encode_with_digest(path, distributions, meta)
    indices, labels, sample_keys = distributions.indices, distributions.labels, distributions.sample_keys
    with replacing(path) as file:
        file.write(b'{"meta": ' + header + b', "distributions": {')
        _write_entries(file, indices, row_blocks(distributions, NUMBERS_AT_ONCE), _row_encoder())
        if labels is not None:
            file.write(b'}, "labels": {')
            parts = blocks(distributions, NUMBERS_AT_ONCE)
            _write_numbers(path, "labels", file, indices, ((part, _written(labels[part])) for part in parts))
        if sample_keys is not None:
            file.write(b'}, "sample_keys": {')
            parts = blocks(distributions, NUMBERS_AT_ONCE)
            _write_entries(file, indices, ((part, sample_keys[part]) for part in parts), _encode)
        file.write(b"}")
        if distributions.columns:
            _write_columns(path, file, distributions)
        file.write(b"}\n")


def _write_columns(path: Path, file: BinaryIO, distributions: Distributions) -> None:
    dtypes = {name: column.dtype.name for name, column in distributions.columns.items()}
    file.write(b', "dtypes": ' + json.dumps(dtypes).encode() + b', "columns": {')
    for place, (name, column) in enumerate(distributions.columns.items()):
        file.write((b"}, " if place else b"") + json.dumps(name).encode() + b": {")
        parts = ((part, np.asarray(column[part])) for part in blocks(distributions, NUMBERS_AT_ONCE))
        _write_numbers(path, f"columns: {name!r}", file, distributions.indices, parts)
    file.write(b"}}")


def _write_numbers(
    path: Path, what: str, file: BinaryIO, indices: Indices, values: Iterable[tuple[slice, Array]]
) -> None:
    try:
        _write_entries(file, indices, values, _encode)
    except ValueError as error:
        message = f"{path}: {what}: there are numbers that JSON does not know ({error}); save them as .npz"
        raise ValueError(message) from error


def _written(labels: Array) -> Array:
    """Return labels with None in place of NaN, which JSON does not know: both stand for a row without a label."""
    missing = np.isnan(labels) if labels.dtype.kind == "f" and labels.ndim == 1 else np.zeros(labels.shape, bool)
    if not missing.any():
        return labels
    whole = labels.astype(object)
    whole[missing] = None
    return whole


def _write_entries(file: BinaryIO, indices: Indices, values: Iterable[tuple[slice, Array]], encode: Encode) -> None:
    for part, block in values:
        entries = encode(indices[part], block)
        file.write((b", " if part.start else b"") + entries[1:-1])


def _encode(keys: Indices, values: Array) -> bytes:
    return json.dumps(dict(zip(keys.tolist(), values.tolist(), strict=True)), allow_nan=False).encode()


def _row_encoder() -> Encode:
    """Return the fast encoder where orjson is installed; both write the same float64 numbers.

    It never gets labels or metadata, since it would write NaN as null. It does not read either: of two equal keys it
    would silently keep the last.
    """
    try:
        orjson: Any = importlib.import_module("orjson")
    except ImportError:
        return _encode

    def encode(keys: Indices, values: Array) -> bytes:
        # As float32, orjson would write fewer digits, which not every reader that parses float64 rounds back.
        rows = np.ascontiguousarray(values, dtype=np.float64)
        return _with_keys(keys, orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY))

    return encode


def _with_keys(keys: Indices, rows: bytes) -> bytes:
    """Turn ``[[...], [...]]`` into ``{"0": [...], "1": [...]}`` without an object per row.

    Examples:
        >>> _with_keys(np.array([7, 12]), b"[[0.5,0.5],[1.0,0.0]]")
        b'{"7":[0.5,0.5],"12":[1.0,0.0]}'
    """
    text = np.frombuffer(rows, np.uint8)[1:-1]
    # Texts of one width, filled with zero bytes.
    names = np.char.add(np.char.add(b'"', keys.astype("S19")), b'":')
    letters = names.view(np.uint8).reshape(len(keys), -1)
    written = letters != 0
    starts = np.repeat(np.flatnonzero(text == ord("[")), written.sum(axis=1))
    return b"{" + np.insert(text, starts, letters[written]).tobytes() + b"}"


def read(path: Path) -> Distributions:
    """Read a file and check everything in it.

    Raises:
        FileNotFoundError: There is none.
        StoreError: It is truncated, has NaN, repeated or wrong keys, rows of different lengths, or no distributions,
            or does not agree with its digest; files of others, and of version 0.1, have none.
    """
    content = path.read_bytes()
    with reading(path):
        return _distributions(decode_json(content), has_digest=f'"{DIGEST}"'.encode() in content)


def _distributions(document: Any, has_digest: bool) -> Distributions:
    if not isinstance(document, dict) or not isinstance(document.get("distributions"), dict):
        message = 'expected {"meta": {...}, "distributions": {"0": [...], ...}}'
        raise ValueError(message)  # noqa: TRY004  # a wrong file is a wrong value
    meta = checked_meta(document.get("meta") or {})
    if has_digest and DIGEST not in meta:
        message = f'its "{DIGEST}" is not in "meta"'
        raise ValueError(message)
    rows = document["distributions"]
    indices = [_index(key) for key in rows]
    width = {len(row) if isinstance(row, list) else -1 for row in rows.values()}
    if len(width) > 1 or -1 in width:
        message = f"expected lists of one length as rows, got the lengths {sorted(width)}"
        raise ValueError(message)
    values = np.asarray(list(rows.values()))
    if rows and values.dtype.kind not in "fiu":
        message = f"expected numbers in the rows, got {values.dtype}"
        raise ValueError(message)
    labels = None if document.get("labels") is None else label_array(_entries("labels", document["labels"], rows))
    if labels is not None:
        _check_finite("labels", labels)
    named = document.get("sample_keys")
    sample_keys = None if named is None else _entries("sample_keys", named, rows)
    # Others write a few decimals, whose rounding takes the sum of a row further from 1 than ours may be.
    tolerance = decimals_tolerance(values) if values.dtype == np.float64 and values.ndim == 2 else SUM_TOLERANCE
    columns = _columns(document.get("columns", {}), document.get("dtypes", {}), rows)
    return compared(values, indices, labels, meta, columns, tolerance=tolerance, sample_keys=sample_keys)


def _columns(columns: Any, dtypes: Any, rows: Mapping[str, Any]) -> dict[str, Array]:
    if not isinstance(columns, dict) or not isinstance(dtypes, dict) or columns.keys() != dtypes.keys():
        message = 'expected the same names in "columns" as in "dtypes"'
        raise ValueError(message)
    found = {}
    for name, entries in columns.items():
        if not isinstance(entries, dict) or entries.keys() != rows.keys() or dtypes[name] not in DTYPES:
            message = f"column {name!r}: expected the keys of the rows, and one of the dtypes {', '.join(DTYPES)}"
            raise ValueError(message)
        with np.errstate(over="ignore"):
            found[name] = np.asarray([entries[key] for key in rows], DTYPES[dtypes[name]])
        _check_finite(f"column {name!r}", found[name])
    return found


def _check_finite(name: str, values: Array) -> None:
    if values.dtype.kind == "f" and np.isinf(values).any():  # JSON has no infinity, but 1e999
        message = f"{name}: expected finite numbers, got {values[np.isinf(values)][0]}"
        raise ValueError(message)


def _entries(name: str, entries: Any, rows: Mapping[str, Any]) -> list[Any]:
    """Return the entry of each row, in their order."""
    if not isinstance(entries, dict) or entries.keys() != rows.keys():
        message = f'expected the same keys in "{name}" as in "distributions"'
        raise ValueError(message)
    return [entries[key] for key in rows]


def _index(key: str) -> int:
    # int() would also take "1_0", " 1" and "٣".
    if not (key.isascii() and key.isdigit()) or len(key) > 19 or int(key) >= 2**63:
        message = f"expected dataset indices as keys, got {key[:40]!r}"
        raise ValueError(message)
    return int(key)
