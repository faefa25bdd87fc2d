"""NumPy's archive: ``np.load(path)["probabilities"]``.

``probabilities`` (float32), ``indices`` (int64), ``labels`` and ``sample_keys`` where known, ``labelled`` (bool) for
text that some rows lack, and ``meta``, JSON in UTF-8 as uint8. Text of which little is long is UTF-8, with
``labels_ends`` or ``sample_keys_ends`` beside it; ``column.<name>`` where columns are kept. Nothing in it is a pickle.
It is read without NumPy's own reader, which takes sizes on trust and checks no short member's sum.
"""

import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.digest import column_blocks, compared, encode_with_digest
from probly.data_generator.formats.shared import Array, check_size, decode_meta, reading, simple_labels
from probly_data_generator_store import columns
from probly_data_generator_store.kept import described

NUMBERS_AT_ONCE = 2**20
CHECKED = ("the CRC-32 of every array",)
"""What reading such a file compares besides its digest."""
KEEPS_COLUMNS = KEEPS_SAMPLE_KEYS = True
COLUMN = "column."
"""What the names of arrays begin with that are kept beside the rows."""
NAMES = (
    "probabilities", "indices", "labels", "labelled", "labels_ends", "meta", "sample_keys", "sample_keys_ends"
)  # fmt: skip
HEADER = re.compile(
    rb"\{'descr': '([<>|=]?(?:b1|[iu][1248]|f[248]|U[0-9]{1,8}))', 'fortran_order': (True|False), "
    rb"'shape': \(([0-9, ]*)\),? *\}\s*"
)
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError)


def write(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
    """Write a file, not compressed: probabilities hardly shrink.

    Raises:
        TypeError: The metadata is not JSON-serialisable, or the labels are neither numbers nor text.
        ValueError: The metadata holds NaN or infinity.
    """
    labels = simple_labels(path, distributions.labels)
    described(distributions.columns)  # refuses what is no number
    text = np.frombuffer(encode_with_digest(path, distributions, meta), np.uint8)
    arrays: dict[str, Array] = {"indices": distributions.indices, "meta": text}
    if labels is not None:
        arrays |= columns.arrays_of("labels", labels)
    if distributions.sample_keys is not None:
        arrays |= columns.arrays_of("sample_keys", distributions.sample_keys)
    rows = (block for _, block in row_blocks(distributions, NUMBERS_AT_ONCE))
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        _add(archive, "probabilities", np.dtype("f4"), (len(distributions), distributions.num_classes), rows)
        for name, array in arrays.items():
            _add(archive, name, array.dtype, array.shape, [array])
        for name, column in distributions.columns.items():
            _add(archive, COLUMN + name, column.dtype, column.shape, column_blocks(column, NUMBERS_AT_ONCE))


def _add(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], blocks: Iterable[Array]
) -> None:
    """Write what ``np.savez`` would, which wants all rows at once."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        for block in blocks:
            member.write(block.tobytes())


def read(path: Path) -> Distributions:
    """Read a file and check everything in it; one without indices counts from 0.

    The only array of a file is taken as its probabilities, whatever ``np.savez`` named it.

    Raises:
        FileNotFoundError: There is none.
        StoreError: It is damaged, is compressed beyond reason, or holds other arrays.
    """
    with path.open("rb") as file, reading(path, *DAMAGE), zipfile.ZipFile(file) as archive:
        _check_end(file, len(archive.infolist()))
        members = _members(archive, os.fstat(file.fileno()).st_size)
        return _distributions({name: _array(_content(archive, info)) for name, info in members.items()})


def _check_end(file: BinaryIO, count: int) -> None:
    """Compare the number of members with the record that ends the file; zipfile does not."""
    file.seek(-22, os.SEEK_END)
    record = file.read()
    if record[:4] != b"PK\5\6" or int.from_bytes(record[10:12], "little") != count:
        message = f"its directory lists {count} arrays, its last 22 bytes say otherwise"
        raise ValueError(message)


def _members(archive: zipfile.ZipFile, file_bytes: int) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    for info in infos:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            message = f"{info.filename!r}: expected it stored or deflated, got method {info.compress_type}"
            raise ValueError(message)
        if not 0 <= info.header_offset <= file_bytes - info.compress_size:
            message = f"{info.filename!r}: it claims to lie outside the file"
            raise ValueError(message)
    if sum(info.compress_size for info in infos) > file_bytes:
        message = "its members overlap"
        raise ValueError(message)
    check_size(sum(info.file_size for info in infos), file_bytes)
    names = [info.filename.removesuffix(".npy") for info in infos]
    if len(names) == 1 and names[0] not in NAMES:
        names = ["probabilities"]
    known = all(name in NAMES or name.startswith(COLUMN) for name in names)
    if len(set(names)) < len(names) or "probabilities" not in names or not known:
        message = f"expected arrays called {', '.join(NAMES)}, the first at least, got {', '.join(names) or 'none'}"
        raise ValueError(message)
    return dict(zip(names, infos, strict=True))


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """Return the bytes of a member; reading it to its end is what compares its checksum."""
    content = np.empty(info.file_size, np.uint8)
    filled = 0
    with archive.open(info) as member:
        while filled < len(content):
            filled += _read_some(member, content.data[filled : filled + 2**20], info.filename)
    return content


def _read_some(member: Any, room: memoryview, name: str) -> int:
    count: int = member.readinto(room)
    if count == 0:
        message = f"{name!r} ends early"
        raise ValueError(message)
    return count


def _array(content: Array) -> Array:
    """Return the array of a ``.npy`` member, without a copy."""
    start = content[:12].tobytes()
    width = 2 if start[6:7] == b"\1" else 4  # version 1 has a shorter length than 2 and 3
    offset = 8 + width + int.from_bytes(start[8 : 8 + width], "little")
    header = HEADER.fullmatch(content[8 + width : min(offset, 10_000)].tobytes())
    if start[:6] != b"\x93NUMPY" or header is None:
        message = "expected only arrays of numbers or text"
        raise ValueError(message)
    dtype = np.dtype(header[1].decode())
    shape = tuple(int(number) for number in header[3].split(b",") if number.strip())
    if offset + math.prod(shape) * dtype.itemsize != len(content):
        message = f"expected {math.prod(shape) * dtype.itemsize} bytes for {dtype} {shape}, got {len(content) - offset}"
        raise ValueError(message)
    check_size(math.prod(max(length, 1) for length in shape) * dtype.itemsize, len(content))  # many rows of nothing
    order: Any = "F" if header[2] == b"True" else "C"
    return np.ndarray(shape, dtype, content, offset, order=order)


def _distributions(arrays: Mapping[str, Array]) -> Distributions:
    rows, indices, meta = (arrays.get(name) for name in ("probabilities", "indices", "meta"))
    assert rows is not None
    _expect("probabilities", rows, "fiu", 2)
    if indices is not None:
        _expect("indices", indices, "iu", 1)
    if meta is not None and (meta.dtype != np.uint8 or meta.ndim != 1):
        message = f"meta: expected JSON as uint8, got {meta.dtype} {meta.shape}"
        raise ValueError(message)
    labels = columns.join_missing(_values("labels", arrays), arrays.get("labelled"))
    kept = {name.removeprefix(COLUMN): array for name, array in arrays.items() if name.startswith(COLUMN)}
    said = {} if meta is None else decode_meta(meta.tobytes())
    return compared(rows, indices, labels, said, kept, sample_keys=_values("sample_keys", arrays))


def _values(name: str, arrays: Mapping[str, Array]) -> Array | None:
    """Return labels or keys: as they are, or texts of any length one after the other."""
    values, ends = arrays.get(name), arrays.get(name + columns.ENDS)
    if ends is not None:
        columns.check_ends(values, ends)
        values = columns.texts_of(arrays[name], ends)
    elif values is not None:
        _check_values(name, values)
    return values


def _expect(name: str, array: Array, kinds: str, axes: int) -> None:
    if array.dtype.kind not in kinds or array.ndim != axes:
        message = f"{name}: expected {axes} axes and a dtype of kind {'/'.join(kinds)}, got {array.dtype} {array.shape}"
        raise ValueError(message)


def _check_values(name: str, values: Array) -> None:
    if values.ndim == 0:
        message = f"{name}: expected one per row, got a single one"
        raise ValueError(message)
    if values.dtype.kind == "U" and values.size:
        codes = np.ascontiguousarray(values).view(np.dtype("u4").newbyteorder(values.dtype.byteorder))
        if codes.max(initial=0) > 0x10FFFF:
            message = f"{name}: expected text, got numbers that are no characters"
            raise ValueError(message)
