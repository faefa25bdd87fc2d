"""The files of a saved Hugging Face dataset: streams of Arrow's, counted before a library unpacks them."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from probly.data_generator.formats.shared import optional_library
from probly_data_generator_command_line.data.limits import check_unpacked
from probly_data_generator_command_line.data.unpacking import dense_bytes

DICTIONARY_BATCH, RECORD_BATCH = 2, 3
"""The kinds of a message that have buffers."""


def check_streams(folder: Path, files: Sequence[Path], limit: float | None) -> None:
    """Refuse a saved dataset that unpacks to more than it may.

    ``datasets`` maps its files from the disk, and writes none that are not as long as their rows. Others may: buffers
    can be compressed, and values that repeat can be kept once, which it makes a value per row of.

    Args:
        folder: Where the files lie.
        files: The streams.
        limit: See ``check_unpacked``.

    Raises:
        InputError: It is more.
        ValueError: One is damaged.
        OSError: One cannot be read.
    """
    check_unpacked(folder, sum(map(_of_compressed_buffers, files)), limit)
    check_unpacked(folder, sum(map(_of_rows, files)), limit)


def _of_compressed_buffers(file: Path) -> int:
    pa = optional_library("pyarrow", "parquet")  # which `datasets` requires
    with pa.memory_map(str(file)) as source:
        try:
            return sum(map(unpacked, pa.ipc.MessageReader.open_stream(source)))
        except (struct.error, IndexError) as error:
            message = f"{file}: a message in it is damaged: {error}"
            raise ValueError(message) from error


def _of_rows(file: Path) -> int:
    """Return the bytes of all rows; only what says how often a value stands there is read for it."""
    pa = optional_library("pyarrow", "parquet")
    total = 0
    with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as batches:
        for batch in batches:
            batch.validate()
            total += sum(map(dense_bytes, batch.columns))
    return total


def unpacked(message: Any) -> int:
    """Return the bytes that the buffers of a message of Arrow's unpack to; 0 where they are not compressed.

    Its head is a table of flatbuffers, which pyarrow does not show: https://arrow.apache.org/docs/format/Columnar.html.

    Raises:
        struct.error: It is damaged.
    """
    head, body = message.metadata.to_pybytes(), message.body
    root = struct.unpack_from("<I", head)[0]
    kind, header = _field(head, root, 1), _linked(head, _field(head, root, 2))
    kind = 0 if kind is None else head[kind]
    if kind == DICTIONARY_BATCH:
        header = _linked(head, _field(head, header, 1))
    if kind not in (DICTIONARY_BATCH, RECORD_BATCH) or _field(head, header, 3) is None:
        return 0
    buffers = _linked(head, _field(head, header, 2))
    count = struct.unpack_from("<I", head, buffers)[0]
    total = 0
    for number in range(count):
        start, length = struct.unpack_from("<qq", head, buffers + 4 + 16 * number)
        if length:
            total += max(0, struct.unpack("<q", body[start : start + 8].to_pybytes())[0])
    return total


def _field(head: bytes, table: int, number: int) -> int | None:
    """Return where a field of a table is, or None where it is left out."""
    places = table - struct.unpack_from("<i", head, table)[0]
    size = struct.unpack_from("<H", head, places)[0]
    found = struct.unpack_from("<H", head, places + 4 + 2 * number)[0] if 4 + 2 * number < size else 0
    return table + found if found else None


def _linked(head: bytes, place: int | None) -> int:
    """Return where the table or list is that a field links to."""
    if place is None:
        message = "a part of it is missing"
        raise struct.error(message)
    found: int = struct.unpack_from("<I", head, place)[0]
    return place + found
