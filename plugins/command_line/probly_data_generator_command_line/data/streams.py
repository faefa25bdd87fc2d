"""The files of a saved Hugging Face dataset: streams of Arrow's, counted before a library unpacks them."""

import struct
from collections.abc import Sequence
from pathlib import Path

from probly.data_generator.formats.arrow_messages import unpacked
from probly.data_generator.formats.shared import optional_library
from probly_data_generator_command_line.data.limits import check_unpacked
from probly_data_generator_command_line.data.unpacking import dense_bytes


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
