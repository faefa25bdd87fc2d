"""Feather, which is Arrow's file format: for pandas, Polars, R and whatever else maps Arrow into memory.

``arrow_tables`` says what its columns are. Nothing is compressed, so libraries read the rows without a copy.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.formats.arrow_messages import unpacked
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.shared import check_size, optional_library, reading
from probly_data_generator_store.arrow_tables import MISSHAPEN, Layout, check_schema, distributions_of, filled

KEEPS_COLUMNS = KEEPS_SAMPLE_KEYS = True
CHECKED = ("the CRC-32 of its metadata",)
"""What reading such a file compares besides its digest."""
NUMBERS_PER_BATCH = 2**20
START, END = b"ARROW1\0\0", b"ARROW1"
ENDED = b"\xff\xff\xff\xff\0\0\0\0"
"""The end of the stream that stands between the two."""


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
    with path.open("rb") as file:
        content = file.read()
    with reading(path, pa.ArrowException, OSError, struct.error, *MISSHAPEN):
        stream = _stream(content)
        check_size(sum(map(unpacked, pa.ipc.MessageReader.open_stream(pa.py_buffer(stream)))), len(content))
        with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
            check_schema(pa, reader.schema)
            batches = list(reader)
        _check_footer(pa, content, reader.schema, len(batches))
        total = sum(map(len, batches))
        columns = filled(pa, reader.schema, total, batches, len(content))
        return distributions_of(pa, reader.schema, total, columns, len(content))


def _check_footer(pa: Any, content: bytes, schema: Any, count: int) -> None:
    """Compare the stream with the footer, by which other libraries read the file."""
    with pa.ipc.open_file(pa.py_buffer(content)) as again:
        if again.num_record_batches != count or not again.schema.equals(schema, check_metadata=True):
            message = "its footer says other columns, metadata or batches than there are"
            raise ValueError(message)


def _stream(content: bytes) -> Any:
    """Return the stream of messages in a file."""
    length = int.from_bytes(content[-10:-6], "little", signed=True)
    stop = len(content) - 10 - length
    whole = content[:8] == START and content[-6:] == END and 8 < stop <= len(content) - 10
    if not whole or content[stop - 8 : stop] != ENDED:
        message = "expected a file of Arrow's, with a footer behind its last record batch"
        raise ValueError(message)
    return memoryview(content)[8:stop]
