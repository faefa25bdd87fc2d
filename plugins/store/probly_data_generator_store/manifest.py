"""The manifest of a store: which shards it has once it is complete."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from probly.data_generator.errors import StoreError
from probly_data_generator_store import files, layout
from probly_data_generator_store.shards import Range
from probly_data_generator_store.spec import MANIFEST, SHARDS, Spec, check_kind, seal, unseal

NORMALISED = "normalised_rows"
"""The entry of a shard and of the manifest that counts rows that were divided by their sum; none stands for 0."""


def manifest_bytes(path: Path, store_id: str, rows: int, published: Iterable[Range]) -> bytes:
    """Return the content of the manifest of a store whose shards are all published."""
    shards, normalised = [], 0
    for shard in published:
        with files.reading(path / SHARDS / shard.file_name) as (handle, size):
            metadata = layout.read_header(handle, size).metadata
        shards.append([shard.start, shard.stop, size, metadata["data_checksum"]])
        normalised += int(metadata.get(NORMALISED, 0))
    counted = {NORMALISED: normalised} if normalised else {}
    return seal({"store": store_id, "rows": rows, "shards": shards, **counted})


def normalised_rows(path: Path) -> int:
    """Return how many rows of a complete store were divided by their sum when they were written.

    Raises:
        StoreError: The manifest is damaged.
    """
    count = unseal(path / MANIFEST).get(NORMALISED, 0)
    check_kind(path / MANIFEST, NORMALISED, count, int)
    return int(count)


def listed_shards(path: Path, spec: Spec) -> dict[Range, str | None]:
    """Return the shards in the manifest with their checksums, after a look at the size of each file.

    Raises:
        StoreError: The manifest is damaged or another store's, or a shard is missing or has another size.
    """
    name = path / MANIFEST
    manifest = unseal(name)
    if manifest.get("store") != spec.id:
        message = f"{name}: belongs to another store"
        raise StoreError(message)
    entries, rows, position = manifest.get("shards"), manifest.get("rows"), 0
    check_kind(name, "rows", rows, int)
    check_kind(name, "shards", entries, list)
    shards: dict[Range, str | None] = {}
    for entry in entries if isinstance(entries, list) else ():
        start, stop, size, checksum = _checked_entry(name, entry)
        if start != position or stop <= start:
            message = f"{name}: the rows {position} to {start} are in no shard"
            raise StoreError(message)
        _check_size(path / SHARDS / Range(start, stop).file_name, size)
        shards[Range(start, stop)] = checksum
        position = stop
    if position != rows:
        message = f"{name}: expected {rows} rows, but the shards end at {position}"
        raise StoreError(message)
    return shards


def _checked_entry(name: Path, entry: Any) -> tuple[int, int, int, str]:
    check_kind(name, "shards", entry, list)
    if len(entry) != 4:
        message = f"{name}: expected start, stop, size and checksum of a shard, got {len(entry)} entries"
        raise StoreError(message)
    for value, kind in zip(entry, (int, int, int, str), strict=True):
        check_kind(name, "shards", value, kind)
    return entry[0], entry[1], entry[2], entry[3]


def _check_size(path: Path, size: int) -> None:
    try:
        found = path.lstat().st_size
    except FileNotFoundError as error:
        message = f"{path}: a shard is missing; the same generate_distributions call makes it again ({error})"
        raise StoreError(message) from error
    except OSError as error:
        message = f"{path}: a shard cannot be read, which says nothing of its rows: {error}"
        raise StoreError(message) from error
    if found != size:
        message = f"{path}: expected {size} bytes, got {found}; remove it, and the same call generates its rows"
        raise StoreError(message)
