"""The digest of what a file holds, the same for all formats: written into ``meta``, compared where it is there.

A checksum of a file's own sees some damage, that of others none; and none sees that a program has rewritten the file
with other digits. This one is over the numbers that readers get, not over bytes, so every format can have it.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.formats.shared import decode_meta, encode_meta
from probly.data_generator.label_values import key_array
from probly.data_generator.rows import FloatRows

Array = npt.NDArray[Any]

DIGEST = "content_digest"
"""The entry of a file's metadata; loaded distributions do not have it, since their owner may change the rest."""
NUMBERS_AT_ONCE = 2**17


def encode_with_digest(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> bytes:
    """Return metadata as ``encode_meta`` does, with the digest of the distributions and of their classes' names.

    All rows are read for it.

    Raises:
        TypeError: See ``encode_meta``.
        ValueError: See ``encode_meta``.
    """
    plain = decode_meta(encode_meta(path, meta))
    rows = (block for _, block in row_blocks(distributions, NUMBERS_AT_ONCE))
    beside = distributions.labels, plain, distributions.columns, distributions.sample_keys
    plain[DIGEST] = content_digest(rows, distributions.indices, *beside)
    return encode_meta(path, plain)


def compared(
    rows: npt.ArrayLike,
    indices: npt.ArrayLike | None,
    labels: Any,
    meta: dict[str, Any],
    columns: Mapping[str, Array] | None = None,
    *,
    tolerance: Any = None,
    sample_keys: Any = None,
) -> Distributions:
    """Return what a reader has found as distributions, after a comparison with the digest where there is one.

    Args:
        rows: See ``Distributions``, as are the others.
        indices: One per row.
        labels: One per row, or None.
        meta: The metadata; the digest is taken out of them.
        columns: What is kept beside the rows, numbers with one entry per row.
        tolerance: What the sum of a row may miss 1 by.
        sample_keys: What each sample is called, or None.

    Raises:
        ValueError: They are no distributions, or others than were written.

    Examples:
        >>> whole = Distributions([[0.25, 0.75]], labels=["cat"])
        >>> meta = decode_meta(encode_with_digest(Path("a"), whole, {"model_name": "mine"}))
        >>> compared(whole.probabilities, [0], ["cat"], {**meta}).meta
        {'model_name': 'mine'}
        >>> compared(whole.probabilities, [0], ["dog"], {**meta})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: its rows, indices, labels, columns, sample keys or class names are not those that were written...
    """
    wanted = meta.pop(DIGEST, None)
    named = None if sample_keys is None else _named(sample_keys)
    found = Distributions(rows, indices, labels, meta, tolerance=tolerance, columns=columns, sample_keys=named)
    if any(column.dtype.kind not in "biuf" for column in found.columns.values()):
        message = "expected numbers in the columns beside the rows"
        raise ValueError(message)
    if wanted is not None:
        # What was written, not what checking makes of rows that miss 1 by more than rounding.
        values, keys = np.asarray(rows, np.float32).reshape(found.probabilities.shape), np.asarray(indices)
        order = np.argsort(keys, kind="stable") if (np.diff(keys) < 0).any() else slice(None)
        beside = found.labels, meta, found.columns, found.sample_keys
        if content_digest([values[order]], found.indices, *beside) != wanted:
            message = (
                "its rows, indices, labels, columns, sample keys or class names are not those that were written: the "
                "file is damaged, or somebody has changed it; whoever did so on purpose removes "
                f'"{DIGEST}" from its meta'
            )
            raise ValueError(message)
        found.digest = wanted
    return found


def _named(sample_keys: Any) -> Any:
    """Return sample keys, after a look at what a file may hold in their place."""
    try:
        return key_array(sample_keys.tolist() if isinstance(sample_keys, np.ndarray) else sample_keys)
    except TypeError as error:
        message = f"sample_{error}"
        raise ValueError(message) from error


def content_digest(
    rows: Iterable[FloatRows],
    indices: Array,
    labels: Array | None,
    meta: Mapping[str, Any],
    columns: Mapping[str, Any],
    sample_keys: Array | None = None,
) -> str:
    """Return the SHA-256 of rows by their indices, of these, of labels, columns, sample keys and the names of classes.

    Args:
        rows: float32, in blocks.
        indices: int64, ascending.
        labels: As ``Distributions`` has them, or None.
        meta: As JSON knows them; of these, ``class_names`` and ``classes`` count.
        columns: Arrays, or those of a store, by name.
        sample_keys: As ``Distributions`` has them, or None.
    """
    whole = hashlib.sha256(json.dumps([meta.get("class_names"), meta.get("classes")]).encode())
    width = 0
    for block in rows:
        width = block.shape[1] if len(block) else width  # of no rows, some formats know the classes and others do not
        whole.update(np.ascontiguousarray(block, "<f4").data)
    whole.update(f"{len(indices)},{width};".encode())
    whole.update(np.ascontiguousarray(indices, "<i8").data)
    for part in _parts_of(labels):
        whole.update(part)
    for name in sorted(columns):
        column = columns[name]
        dtype = column.dtype.newbyteorder("<")
        shape = list(column.shape[1:]) if len(column) else []  # which not every format knows without an entry
        whole.update(json.dumps([name, dtype.str, shape]).encode())
        for part in column_blocks(column, NUMBERS_AT_ONCE):
            whole.update(np.ascontiguousarray(part, dtype).data)
    if sample_keys is not None:  # without any, the digest is what it was before there were some
        whole.update(b"sample_keys")
        for part in _parts_of(sample_keys):
            whole.update(part)
    return f"sha256:{whole.hexdigest()}"


def column_blocks(column: Any, numbers: int) -> Iterator[Array]:
    """Yield the entries of a column in blocks of about so many numbers; those of a store are read only now."""
    step = max(1, numbers // max(1, math.prod(column.shape[1:])))
    for start in range(0, len(column), step):
        yield np.asarray(column[start : start + step])


def _parts_of(labels: Array | None) -> Iterator[Any]:
    """Yield what labels are in every format: numbers as 64 bits, whatever their width was, all else as JSON."""
    if labels is None or not labels.size:
        yield b"none" if labels is None else b"empty"
        return
    kind = labels.dtype.kind
    # JSON does not tell NaN from None, and NumPy not every large integer from an object.
    if kind not in "biuf" or (kind == "f" and np.isnan(labels).all()) or (kind == "u" and labels.max() >= 2**63):
        for start in range(0, len(labels), 2**14):
            block = labels[start : start + 2**14]
            yield json.dumps(block.tolist() if kind != "f" else [None] * len(block)).encode()
        return
    wide = {"b": "?", "f": "<f8", "i": "<i8", "u": "<i8"}[kind]
    yield f"{wide}{labels.shape[1:]}".encode()
    for start in range(0, len(labels), 2**14):
        block = labels[start : start + 2**14].astype(wide)
        if kind == "f":
            block[np.isnan(block)] = np.nan  # there are many, which compare alike
        yield np.ascontiguousarray(block)
