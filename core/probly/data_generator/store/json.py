"""The interchange format, readable by every backend and every language.

``{"meta": {...}, "distributions": {"0": [...], ...}, "labels": {"0": ...}}`` in UTF-8; ``labels`` only where known.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import StoreError
from probly.data_generator.store.atomic import replacing

ROWS_AT_ONCE = 4096


def write(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
    """Write a file; a float32 value is written so that it reads back exactly.

    Raises:
        TypeError: The metadata is not JSON-serialisable.
        ValueError: It holds NaN or infinity.
    """
    try:
        header = json.dumps(dict(meta), ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        error.add_note(
            f"{path}: meta must hold only strings, numbers, booleans, None, lists and dicts; nothing written"
        )
        raise
    with replacing(path) as file:
        file.write(b'{"meta": ' + header.encode() + b', "distributions": {')
        _write_entries(file, distributions, distributions.probabilities)
        if distributions.labels is not None:
            file.write(b'}, "labels": {')
            _write_entries(file, distributions, distributions.labels)
        file.write(b"}}\n")


def _plain(value: Any) -> Any:
    """Return NumPy scalars and arrays, and paths, as what JSON knows."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    message = f"{value!r} is of type {type(value).__name__}"
    raise TypeError(message)


def _write_entries(file: BinaryIO, distributions: Distributions, values: Any) -> None:
    for start in range(0, len(distributions), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        keys = distributions.indices[part].tolist()
        entries = json.dumps(dict(zip(keys, values[part].tolist(), strict=True)), allow_nan=False)
        file.write((b", " if start else b"") + entries[1:-1].encode())


def read(path: Path) -> Distributions:
    """Read a file and check everything in it.

    Raises:
        FileNotFoundError: There is none.
        StoreError: It is truncated, has NaN, repeated or wrong keys, rows of different lengths, or no distributions.
    """
    try:
        document = json.loads(path.read_bytes(), object_pairs_hook=_unique, parse_constant=_no_constant)
        return _distributions(document)
    except (ValueError, RecursionError, OverflowError) as error:  # JSON and Unicode errors are ValueErrors
        message = f"{path}: not a file of distributions: {error}"
        raise StoreError(message) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in found if names.count(name) > 1)
        message = f"the key {repeated!r} stands twice"
        raise ValueError(message)
    return found


def _no_constant(name: str) -> None:
    message = f"expected finite numbers, got {name}"
    raise ValueError(message)


def _distributions(document: Any) -> Distributions:
    if not isinstance(document, dict) or not isinstance(document.get("distributions"), dict):
        message = 'expected {"meta": {...}, "distributions": {"0": [...], ...}}'
        raise ValueError(message)  # noqa: TRY004  # a wrong file is a wrong value
    meta = document.get("meta") or {}
    if not isinstance(meta, dict):
        message = f'expected an object as "meta", got {type(meta).__name__}'
        raise ValueError(message)  # noqa: TRY004
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
    return Distributions(values, indices, _labels(document.get("labels"), rows), meta)


def _labels(labels: Any, rows: Mapping[str, Any]) -> list[Any] | None:
    if labels is None:
        return None
    if not isinstance(labels, dict) or labels.keys() != rows.keys():
        message = 'expected the same keys in "labels" as in "distributions"'
        raise ValueError(message)
    return [labels[key] for key in rows]


def _index(key: str) -> int:
    # int() would also take "1_0", " 1" and "٣".
    if not (key.isascii() and key.isdigit()) or len(key) > 18:  # the digits that int64 always holds
        message = f"expected dataset indices as keys, got {key[:40]!r}"
        raise ValueError(message)
    return int(key)
