"""One file in a shard's layout, for any safetensors library.

Its tensors are ``probs``, ``keys``, and where known ``labels``, ``sample_keys`` and ``column.<name>``.
"""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.errors import StoreError
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.digest import compared, encode_with_digest
from probly.data_generator.formats.shared import decode_meta, simple_labels
from probly_data_generator_store import columns, layout
from probly_data_generator_store.kept import described

NUMBERS_AT_ONCE = 2**20
KEEPS_COLUMNS = KEEPS_SAMPLE_KEYS = True
COLUMN = "column."
"""What the names of tensors begin with that are kept beside the rows."""
CHECKED = ("the CRC-32 of the header and of all data",)
"""What reading such a file compares besides its digest."""


def write(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all, block by block.

    Raises:
        TypeError: The metadata is not JSON-serialisable, or the labels fit no tensor.
        ValueError: The metadata hold NaN or infinity.
    """
    found = columns.packed_labels(path, simple_labels(path, distributions.labels))
    named = None if distributions.sample_keys is None else columns.packed("sample_keys", distributions.sample_keys)
    assert named is not None or distributions.sample_keys is None  # keys are text or integers, which fit
    named = named or ({}, {})
    metadata = {"meta": encode_with_digest(path, distributions, meta).decode(), **found[1], **named[1]}
    # One number stands for all rows until their bytes are written, which only then have a checksum.
    rows = np.broadcast_to(np.zeros(1, "<f4"), (len(distributions), distributions.num_classes))
    tensors = {"probs": rows, "keys": np.ascontiguousarray(distributions.indices, "<i8"), **found[0], **named[0]}
    for name, kept in described(distributions.columns).items():
        tensors[COLUMN + name] = np.ascontiguousarray(distributions.columns[name], kept.dtype)
    with replacing(path) as file:
        file.seek(len(layout.pieces(tensors, metadata, layout.Written(rows.nbytes))[0]))
        checksum = 0
        for _, block in row_blocks(distributions, NUMBERS_AT_ONCE):
            piece = np.ascontiguousarray(block, "<f4").data
            checksum = zlib.crc32(piece, checksum)
            file.write(piece)
        header, _, *others = layout.pieces(tensors, metadata, layout.Written(rows.nbytes, checksum))
        for piece in others:
            file.write(piece)
        file.seek(0)
        file.write(header)


def read(path: Path) -> Distributions:
    """Read a file that ``write`` made, without a copy of its rows.

    Raises:
        FileNotFoundError: There is none.
        StoreError: It is damaged, or another safetensors file.
    """
    path.stat()
    header, tensors = layout.read_file(path)
    try:
        rows, keys = tensors["probs"], tensors["keys"]
        if rows.dtype != np.float32 or keys.dtype != np.int64:
            message = "expected float32 'probs', int64 'keys'"
            raise ValueError(message)  # noqa: TRY301
        columns.check(tensors, header.metadata, len(keys))
        labels = columns.unpacked("labels", tensors, header.metadata)
        kept = {name.removeprefix(COLUMN): tensor for name, tensor in tensors.items() if name.startswith(COLUMN)}
        named = columns.unpacked("sample_keys", tensors, header.metadata)
        return compared(rows, keys, labels, decode_meta(header.metadata["meta"].encode()), kept, sample_keys=named)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"{path}: not a file of distributions: {error}"
        raise StoreError(message) from error
