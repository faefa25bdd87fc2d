"""Feather, which is Arrow's file format: for pandas, Polars, R and whatever else maps Arrow into memory.

``arrow_tables`` says what its columns are. Nothing is compressed, so libraries read the rows without a copy.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.formats.arrow_messages import blocks_of, unpacked
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.shared import check_size, optional_library, reading
from probly_data_generator_store.arrow_tables import MISSHAPEN, Layout, check_schema, distributions_of, filled

KEEPS_COLUMNS = KEEPS_SAMPLE_KEYS = True
CHECKED = ("the CRC-32 of its metadata",)
"""What reading such a file compares besides its digest."""
NUMBERS_PER_BATCH = 2**20
START, END = b"ARROW1\0\0", b"ARROW1"
CONTINUED = b"\xff\xff\xff\xff"
"""What a message begins with."""


def table_of(distributions: Distributions, meta: Mapping[str, Any]) -> Any:
    """Return distributions as a table of pyarrow, what ``.parquet`` and ``.feather`` hold.

    Raises:
        ImportError: pyarrow is not installed.
        TypeError: The labels are neither numbers nor text.
    """
    pa = optional_library("pyarrow", "parquet")
    layout = Layout(pa, Path("to_arrow"), distributions, meta)
    blocks = row_blocks(distributions, NUMBERS_PER_BATCH)
    return pa.Table.from_batches([layout.batch(part, rows) for part, rows in blocks], layout.schema)


def write(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
    """Write a file, one record batch of about 4 MB after another.

    Raises:
        ImportError: pyarrow is not installed.
        TypeError: The metadata is not JSON-serialisable, or the labels are neither numbers nor text.
        ValueError: The metadata holds NaN or infinity.
    """
    pa = optional_library("pyarrow", "parquet")
    layout = Layout(pa, path, distributions, meta)
    with replacing(path) as file, pa.ipc.new_file(file, layout.schema) as writer:
        width = layout.numbers / max(distributions.num_classes, 1)
        for part, rows in row_blocks(distributions, int(NUMBERS_PER_BATCH / (1 + width))):
            writer.write_batch(layout.batch(part, rows))


def read(path: Path) -> Distributions:
    """Read a file and check everything in it; one without the column ``index`` counts from 0.

    Raises:
        ImportError: pyarrow is not installed.
        FileNotFoundError: There is none.
        StoreError: It is damaged, has nulls, lists of different lengths or other columns.
    """
    pa = optional_library("pyarrow", "parquet")
    content = path.read_bytes()
    with reading(path, pa.ArrowException, OSError, EOFError, struct.error, *MISSHAPEN):
        _check_messages(pa, content)
        with pa.ipc.open_file(pa.py_buffer(content)) as file:
            check_schema(pa, file.schema)
            _check_stream(pa, content, file)
            batches = [file.get_batch(number) for number in range(file.num_record_batches)]
        total = sum(map(len, batches))
        columns = filled(pa, file.schema, total, batches, len(content))
        return distributions_of(pa, file.schema, total, columns, len(content))


def _check_messages(pa: Any, content: bytes) -> None:
    """Refuse what is no such file, or unpacks to more than it can hold."""
    length = int.from_bytes(content[-10:-6], "little")
    stop = len(content) - 10 - length
    if content[:8] != START or content[-6:] != END or stop < len(START):
        message = "expected a file of Arrow's, with a footer at its end"
        raise ValueError(message)
    needed = 0
    for start, head, body in blocks_of(content[stop:-10]):
        if min(start, head, body) < 0 or start + head + body > stop:
            message = "a part of it is not in the file"
            raise ValueError(message)
        needed += unpacked(pa.ipc.read_message(pa.py_buffer(content)[start : start + head + body]))
        check_size(needed, len(content))


def _check_stream(pa: Any, content: bytes, file: Any) -> None:
    """Compare the footer, by which files are read, with the messages before it, by which streams are.

    Not every library writes them so that a stream can be read. Ours do, or a footer that has lost some of its batches
    would be taken for that of a part of the rows, which has no digest.
    """
    if content[8:12] != CONTINUED:
        return
    stream = pa.py_buffer(content)[8:]
    batches = sum(message.type == "record batch" for message in pa.ipc.MessageReader.open_stream(stream))
    same_schema = pa.ipc.read_schema(stream).equals(file.schema, check_metadata=True)
    if batches != file.num_record_batches or not same_schema:
        message = "its footer says other columns, metadata or batches than there are"
        raise ValueError(message)
