"""What the columns of a table take in memory, where a file keeps repeated values once: counted before it is read."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.formats.shared import optional_library
from probly_data_generator_command_line.data.limits import check_unpacked

WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT96": 12}
"""The bytes of a number of Parquet, where they are not 8; of text, that of its place."""
PREFIXES = "DELTA_BYTE_ARRAY"
SHARING = {"PLAIN_DICTIONARY", "RLE_DICTIONARY", PREFIXES}
"""How Parquet writes texts that share letters once; with prefixes, those of a block are as long as they are."""
FEW_ROWS, MANY_ROWS = 256, 65_536


def dense_bytes(array: Any) -> int:
    """Return about how many bytes an Arrow array takes when each row has a value of its own.

    Args:
        array: The array. Those with a dictionary keep a text once, whatever its length, for as many rows as like it.

    Raises:
        ValueError: It is damaged.

    Examples:
        >>> import pyarrow as pa
        >>> dense_bytes(pa.array(["abc"] * 1000).dictionary_encode()), dense_bytes(pa.nulls(10))
        (7000, 80)
    """
    types = optional_library("pyarrow", "parquet").types
    kind = array.type
    if types.is_dictionary(kind):
        indices = np.asarray(array.indices.drop_null())
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(array.dictionary):
            message = f"an index of a dictionary of {len(array.dictionary)} values is {indices.max()}"
            raise ValueError(message)
        counts = np.bincount(indices, minlength=len(array.dictionary))
        # Floats: the product of two numbers of a stranger may be none of int64.
        return 8 * int(array.null_count) + int(counts @ _bytes_of_each(array.dictionary))
    if types.is_string_view(kind) or types.is_binary_view(kind):
        places = np.frombuffer(array.buffers()[1] or b"", np.int32)[::4]  # a length, then where it lies
        return 16 * len(array) + int(places[array.offset :][: len(array)].astype(np.int64).sum())
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return 8 * len(array) + dense_bytes(array.flatten())
    if types.is_struct(kind):
        return 8 * len(array) + sum(map(dense_bytes, array.flatten()))
    return max(int(array.nbytes), (8 if types.is_null(kind) else 1) * len(array))


def _bytes_of_each(values: Any) -> Any:
    """Return the bytes of each value of a dictionary as floats."""
    types = optional_library("pyarrow", "parquet").types
    compute = optional_library("pyarrow.compute", "parquet")
    kind = values.type
    if any(holds(kind) for holds in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)):
        return 4 + np.asarray(compute.binary_length(values).fill_null(0), float)
    return np.array([dense_bytes(values.slice(place, 1)) for place in range(len(values))], float)


def check_parquet(path: Path, file: Any, limit: float | None) -> None:
    """Refuse a Parquet file whose columns unpack to more than they may.

    Args:
        path: Its path.
        file: It, opened with ``pyarrow.parquet.ParquetFile``.
        limit: See ``check_unpacked``.

    Raises:
        InputError: They do.
        ArrowException: It is damaged.
    """
    metadata = file.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    said = sum(
        max(chunk.num_values * WIDTHS.get(chunk.physical_type, 8), chunk.total_uncompressed_size) for chunk in chunks
    )
    check_unpacked(path, said, limit)
    texts = [chunk for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"]
    shared = {chunk.path_in_schema for chunk in texts if SHARING.intersection(chunk.encodings)}
    # Which the library cannot read as dictionaries.
    prefixed = {chunk.path_in_schema for chunk in texts if PREFIXES in chunk.encodings}
    more = _of_texts(path, len(groups), shared - prefixed, MANY_ROWS) + _of_texts(path, len(groups), prefixed, FEW_ROWS)
    check_unpacked(path, said + more, limit)


def _of_texts(path: Path, groups: int, columns: set[str], at_once: int) -> int:
    """Return the bytes of the texts of some columns; only their pages know how often each stands there.

    Args:
        path: The file.
        groups: The number of its row groups. Lists of dictionaries cannot be read over their borders.
        columns: Which columns.
        at_once: How many rows are read together: as dictionaries, or as many as have room with prefixes.
    """
    if not columns:
        return 0
    names = sorted(columns)
    pq = optional_library("pyarrow.parquet", "parquet")
    with pq.ParquetFile(path, read_dictionary=names if at_once == MANY_ROWS else None) as file:
        batches = (file.iter_batches(at_once, [group], columns=names) for group in range(groups))
        return sum(dense_bytes(column) for batch in chain.from_iterable(batches) for column in batch.columns)
