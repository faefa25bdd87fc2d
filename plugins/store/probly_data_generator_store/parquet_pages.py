"""What the pages of a Parquet file claim to hold, before any is decoded.

A page of a few bytes may say that it holds two billion numbers: all the same, or none at all. Parquet libraries take
room for them before they look. Footers and headers are structs of Thrift's compact protocol, of which little is needed.
"""

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from probly.data_generator.formats.shared import check_size

USUAL_BYTES, HEADER_BYTES = 1 << 10, 1 << 20
SIZES = (1, 4, 8, 12, 4, 8, 8)
"""The bytes of a value in memory by its type: truth, 32, 64, 96 bits, float, double, the place of a text."""
LEVELS = 4
"""What is known of a value beside it: in which list it stands, and whether it is there."""
DELTA_BYTE_ARRAY = 7
"""The encoding that says of a text how much of it is the text before: a megabyte, a million times."""
# Fields by their number: of the footer, a group of rows, a column in it; of a page's header, and of those of its kinds.
GROUPS, COLUMNS, DETAILS = 4, 1, 3
TYPE, PATH, NUM_VALUES, COLUMN_BYTES, FIRST_PAGE, DICTIONARY = 1, 3, 5, 7, 9, 11
UNCOMPRESSED, COMPRESSED, KINDS, VALUES, ENCODINGS = 2, 3, (5, 7, 8), 1, {5: 2, 7: 2, 8: 4}


def check_pages(file: BinaryIO, file_bytes: int) -> None:
    """Refuse a file whose pages claim more than it can hold; a damaged footer would end the process in pyarrow, too.

    Args:
        file: The open file.
        file_bytes: Its size.

    Raises:
        ValueError: They do, or do not lie in the file as its footer says.
    """
    file.seek(max(0, file_bytes - 8))
    end = file.read(8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or length + 12 > file_bytes:
        message = "expected a Parquet file, with a footer at its end"
        raise ValueError(message)
    file.seek(-8 - length, os.SEEK_END)
    needed = 0
    for group in Compact(file.read(length)).struct()[0].get(GROUPS) or ():
        for chunk in group[COLUMNS]:
            column = chunk[DETAILS]
            kind, values = column[TYPE], column[NUM_VALUES]
            needed += values * ((SIZES[kind] if 0 <= kind < len(SIZES) else 16) + LEVELS)
            check_size(needed, file_bytes)
            found = sum(_pages(file, column, file_bytes))
            if found != values:
                message = f"expected {values} values in the pages of {column.get(PATH)}, got {found}"
                raise ValueError(message)


def _pages(file: BinaryIO, column: dict[int, Any], file_bytes: int) -> Iterator[int]:
    """Yield the number of values of each page of data."""
    position, size = min(column[FIRST_PAGE], column.get(DICTIONARY) or column[FIRST_PAGE]), 0
    stop = position + column[COLUMN_BYTES]
    if not 0 <= position <= stop <= file_bytes:
        message = f"the pages of {column.get(PATH)} are not in the file"
        raise ValueError(message)
    while position < stop:
        header, length = _header(file, position, stop)
        if min(header[UNCOMPRESSED], header[COMPRESSED]) < 0:
            message = f"expected the header of a page at byte {position}"
            raise ValueError(message)
        size += header[UNCOMPRESSED]
        check_size(size, file_bytes)
        for kind in KINDS:
            details = header.get(kind)
            if isinstance(details, dict):
                if details.get(ENCODINGS[kind]) == DELTA_BYTE_ARRAY:
                    message = f"{column.get(PATH)}: expected text that is plain or in a dictionary, got deltas"
                    raise ValueError(message)
                if kind != 7:  # a dictionary's values are counted where they are used
                    yield details[VALUES]
        position += length + header[COMPRESSED]


def _header(file: BinaryIO, position: int, stop: int) -> tuple[dict[int, Any], int]:
    file.seek(position)
    data = file.read(min(USUAL_BYTES, stop - position))
    try:
        return Compact(data).struct()
    except ValueError:  # texts may stand in it, the least and the largest of the page
        return Compact(data + file.read(min(HEADER_BYTES, stop - position - len(data)))).struct()


SHORT = "its footer, or the header of a page, ends early"


class Compact:
    """Structs of Thrift's compact protocol.

    Args:
        data: Bytes that begin with one.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def struct(self) -> tuple[dict[int, Any], int]:
        """Return the fields of a struct by their number, and how many bytes have been read."""
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            fields[number] = self._value(kind & 15)
        return fields, self.position

    def _value(self, kind: int) -> Any:
        if kind in (1, 2):  # a truth value is its kind
            return kind == 1
        if kind in (3, 4, 5, 6):
            return self._byte() if kind == 3 else self._signed()
        if kind in (7, 8):
            return self._bytes(8 if kind == 7 else self._unsigned())
        if kind in (9, 10):
            head = self._byte()
            count, kind = (self._unsigned() if head >> 4 == 15 else head >> 4), head & 15
            return [self._byte() if kind in (1, 2) else self._value(kind) for _ in range(count)]
        if kind == 12:
            return self.struct()[0]
        message = f"expected no field of the kind {kind}"
        raise ValueError(message)

    def _bytes(self, count: int) -> bytes:
        if self.position + count > len(self.data):
            raise ValueError(SHORT)
        self.position += count
        return self.data[self.position - count : self.position]

    def _byte(self) -> int:
        if self.position >= len(self.data):
            raise ValueError(SHORT)
        self.position += 1
        return self.data[self.position - 1]

    def _unsigned(self) -> int:
        value, shift = 0, 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)
