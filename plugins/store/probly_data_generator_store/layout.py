"""The safetensors layout: 8 bytes of header length, a JSON header, the tensors one after the other.

Written and parsed here without the library, for three things that it does not do: every tensor starts at a multiple
of 64 bytes, the checksum of the header is verified before the header is parsed, and so is that of the data before
they are used. Any safetensors library reads these files.
"""

import json
import math
import mmap
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import StoreError
from probly.data_generator.formats.shared import MOST_META, check_size
from probly.data_generator.toolkit.places import Place
from probly_data_generator_store import files

ALIGNMENT = 64
MAX_HEADER = MOST_META
ROOM = 1024
"""Where the data begin, unless a header is larger; so they can be written before the header is known."""
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}

# The checksum stands at a fixed place, so that nothing need be parsed to find it.
OPENING = b'{"__metadata__":{"checksum":"'
START = len(OPENING) + 8
PADDING = re.compile(r"_padding\d+")


class Tensor(NamedTuple):
    """Where a tensor lies in its file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


class Header(NamedTuple):
    """What a file says of itself."""

    metadata: dict[str, str]
    tensors: dict[str, Tensor]
    data_start: int


class Written(NamedTuple):
    """How much of the first tensor a caller has written already.

    Attributes:
        size: Its bytes.
        checksum: Their CRC-32.
    """

    size: int = 0
    checksum: int = 0


NOTHING = Written()


def pieces(tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str], done: Written = NOTHING) -> list[Any]:
    """Return the buffers that make up a file, in order: the header, then the tensors and what lies between them.

    Args:
        tensors: C-contiguous arrays of the dtypes in ``DTYPES``.
        metadata: Further entries of the header.
        done: What is only described in the header, not checked again.

    Examples:
        >>> [memoryview(piece).nbytes for piece in pieces({"probs": np.zeros((2, 3), np.float32)}, {"schema": "1"})]
        [1024, 24]
    """
    entries: dict[str, Any] = {}
    data: list[Any] = []
    offset = 0
    for number, (name, array) in enumerate(tensors.items()):
        gap = -offset % ALIGNMENT
        if gap:  # the format allows no holes
            offset = _place(entries, data, f"_padding{number}", np.zeros(gap, np.uint8), offset)
        offset = _place(entries, data, name, array, offset)
    checksum, skipped = done.checksum, done.size
    for piece in data:
        if piece.nbytes > skipped:
            checksum = zlib.crc32(piece.data.cast("B")[skipped:], checksum)
        skipped = 0
    return [_header(entries, {"data_checksum": f"{checksum:08x}", **metadata}), *data]


def _place(entries: dict[str, Any], data: list[Any], name: str, array: npt.NDArray[Any], offset: int) -> int:
    stop = offset + array.nbytes
    entries[name] = {
        "dtype": NAMES[array.dtype.newbyteorder("<").str],
        "shape": list(array.shape),
        "data_offsets": [offset, stop],
    }
    data.append(array)
    return stop


def _header(entries: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    text = json.dumps(metadata, separators=(",", ":"))[1:] + "," + json.dumps(entries, separators=(",", ":"))[1:]
    rest = b'",' + text.encode()
    size = 8 + START + len(rest)
    if size > MAX_HEADER:
        message = f"expected at most {MAX_HEADER} bytes of metadata and of tensors' names, got {size}"
        raise ValueError(message)
    rest += b" " * (ROOM - size if size <= ROOM else -size % ALIGNMENT)
    length = (START + len(rest)).to_bytes(8, "little")
    return length + OPENING + b"%08x" % zlib.crc32(length + rest) + rest


def metadata_of(header: bytes) -> dict[str, str]:
    """Return the metadata of a header that ``pieces`` has made."""
    metadata: dict[str, str] = json.loads(header[8:])["__metadata__"]
    return metadata


def read_header(handle: int, size: int) -> Header:
    """Verify and parse the header of an open file.

    Raises:
        ValueError: It is damaged, or not one that ``pieces`` makes.
    """
    length_bytes = files.read_at(handle, 8, 0)
    length = int.from_bytes(length_bytes, "little")
    if len(length_bytes) < 8 or not START + 2 <= length <= min(MAX_HEADER, size - 8) or (8 + length) % ALIGNMENT:
        message = f"expected the length of a header, got {length} in a file of {size} bytes"
        raise ValueError(message)
    text = files.read_at(handle, length, 8)
    rest = text[START:]
    if text[:START] != OPENING + b"%08x" % zlib.crc32(length_bytes + rest):
        message = "the checksum of the header is wrong"
        raise ValueError(message)
    return _parse(json.loads(text), 8 + length, size)


def _parse(document: Any, data_start: int, size: int) -> Header:
    metadata = document.pop("__metadata__")
    if not all(isinstance(value, str) for value in metadata.values()):
        message = "expected strings as metadata"
        raise ValueError(message)
    tensors = {}
    position = data_start
    for name, entry in document.items():
        tensor = Tensor(entry["dtype"], tuple(entry["shape"]), position)
        stop = position + _tensor_bytes(name, tensor, size)
        if entry["data_offsets"] != [position - data_start, stop - data_start] or stop > size:
            message = f"tensor {name!r}: expected the bytes {position} to {stop} of a file of {size}"
            raise ValueError(message)
        if not PADDING.fullmatch(name):
            tensors[name] = tensor
        position = stop
    if position != size:
        message = f"expected {position} bytes, got {size}"
        raise ValueError(message)
    return Header(metadata, tensors, data_start)


def _tensor_bytes(name: str, tensor: Tensor, file_bytes: int) -> int:
    shape = tensor.shape
    plain = all(type(length) is int and 0 <= length < 2**62 for length in shape)
    if not plain or len(shape) > 32 or tensor.dtype not in DTYPES:
        message = f"tensor {name!r}: expected a known dtype and lengths of at least 0"
        raise ValueError(message)
    itemsize = np.dtype(DTYPES[tensor.dtype]).itemsize
    check_size(math.prod(max(length, 1) for length in shape) * itemsize, file_bytes)  # no values may be many rows
    return math.prod(shape) * itemsize


def check_data(handle: int, size: int, header: Header) -> None:
    """Compare the data of an open file with the checksum in its header, without mapping it.

    Raises:
        ValueError: They differ.
    """
    checksum, left = 0, size - header.data_start
    buffer = memoryview(bytearray(min(left, files.READ_AT_ONCE)))
    os.lseek(handle, header.data_start, os.SEEK_SET)
    while left > 0:
        count = _read_into(handle, buffer[:left])
        if not count:
            break
        checksum = zlib.crc32(buffer[:count], checksum)
        left -= count
    if left or header.metadata.get("data_checksum") != f"{checksum:08x}":
        message = "the checksum of the data is wrong"
        raise ValueError(message)


def _read_into(handle: int, buffer: memoryview) -> int:
    if hasattr(os, "readv"):
        return os.readv(handle, [buffer])
    piece = os.read(handle, len(buffer))
    buffer[: len(piece)] = piece
    return len(piece)


def read_file(
    path: Place, *, checked: bool = True, writable: bool = False
) -> tuple[Header, dict[str, npt.NDArray[Any]]]:
    """Verify a file, map it, and return its header and its tensors without a copy.

    Args:
        path: A regular file, not a link.
        checked: Whether to verify the data too, not only the header.
        writable: Whether the arrays may be written to, which changes them for this process and never the file.

    Raises:
        StoreError: It is missing, damaged, or not such a file.
    """
    with files.reading(path) as (handle, size):
        try:
            header = read_header(handle, size)
            if checked:
                check_data(handle, size, header)
            access = mmap.ACCESS_COPY if writable else mmap.ACCESS_READ
            mapped = mmap.mmap(handle, size, access=access)
            tensors = {name: _array(mapped, tensor) for name, tensor in header.tensors.items()}
        # A header with a right checksum can still hold anything.
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, OverflowError) as error:
            message = f"{path}: not a file of this store, or a damaged one: {error}"
            raise StoreError(message) from error
    return header, tensors


def _array(mapped: mmap.mmap, tensor: Tensor) -> npt.NDArray[Any]:
    return np.ndarray(tensor.shape, DTYPES[tensor.dtype], mapped, tensor.offset)


def join(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return arrays one after the other, without a copy if there is only one."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
