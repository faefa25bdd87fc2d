"""What the messages of Arrow's streams and files unpack to, before a library takes memory for it.

Buffers may be compressed, and say themselves how long they are when they are not; pyarrow takes room for that much, and
does not show it before.
"""

import struct
from typing import Any

DICTIONARY_BATCH, RECORD_BATCH = 2, 3
"""The kinds of a message that have buffers."""


def unpacked(message: Any) -> int:
    """Return the bytes that the buffers of a message of Arrow's unpack to; 0 where they are not compressed.

    Its head is a table of flatbuffers: https://arrow.apache.org/docs/format/Columnar.html.

    Args:
        message: A ``pyarrow.ipc.Message``, as a ``MessageReader`` yields them.

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


def blocks_of(footer: bytes) -> list[tuple[int, int, int]]:
    """Return where the messages of a file are by its footer: where each begins, and how long its head and its body are.

    Args:
        footer: The bytes between the last message and the length that ends the file.

    Raises:
        struct.error: It is damaged.
    """
    root = struct.unpack_from("<I", footer)[0]
    found = []
    for number in (2, 3):  # dictionaries, record batches
        place = _field(footer, root, number)
        if place is not None:
            first = _linked(footer, place)
            count = struct.unpack_from("<I", footer, first)[0]
            found += [struct.unpack_from("<qi4xq", footer, first + 4 + 24 * one) for one in range(count)]
    return found


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
