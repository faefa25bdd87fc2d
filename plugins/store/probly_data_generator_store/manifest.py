"""The manifest of a store: which shards it has once it is complete."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from probly.data_generator.errors import StoreError
from probly.data_generator.toolkit.places import Place
from probly_data_generator_store import files, layout
from probly_data_generator_store.shards import NORMALISED, Range, list_names
from probly_data_generator_store.spec import MANIFEST, SHARDS, Spec, check_kind, seal, unseal

DEVIATION = "deviation"
"""The entry of a shard and of the manifest that says how far the kernels of an admitted worker were off; see
``admission``."""

Entry = Sequence[Any]
"""What is known of a shard: start, stop, size, checksum, rows that were normalised, deviation."""


def entry_of(path: Place, rows: Range, store_id: str | None = None) -> Entry:
    """Return what the header of a published shard says.

    Raises:
        StoreError: It cannot be read, is damaged, or is of another store.
    """
    name = path / SHARDS / rows.file_name
    with files.reading(name, start_only=True) as (handle, size):
        try:
            metadata = layout.read_header(handle, size).metadata
            entry = entry_from(rows, size, metadata)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, OverflowError) as error:
            message = f"{name}: is damaged: {error}; remove it, and the same call generates its rows"
            raise StoreError(message) from error
    if store_id not in (None, metadata.get("store")):
        message = f"{name}: belongs to another store; remove it, and the same call generates its rows"
        raise StoreError(message)
    return entry


def entry_from(rows: Range, size: int, metadata: Mapping[str, str]) -> Entry:
    """Return what the metadata of a shard say."""
    counted = [int(metadata.get(NORMALISED, 0)), float(metadata.get(DEVIATION, 0))]
    return [*rows, size, metadata["data_checksum"], *counted]


def manifest_bytes(path: Place, store_id: str, rows: int, published: Iterable[Range]) -> bytes:
    """Return the content of the manifest of a store whose shards are all published."""
    return manifest_of(store_id, rows, [entry_of(path, shard) for shard in published])


def manifest_of(store_id: str, rows: int, entries: Sequence[Entry]) -> bytes:
    """Return the content of the manifest of these shards."""
    normalised, away = sum(entry[4] for entry in entries), max((entry[5] for entry in entries), default=0.0)
    counted = {**({NORMALISED: normalised} if normalised else {}), **({DEVIATION: away} if away else {})}
    return seal({"store": store_id, "rows": rows, "shards": [list(entry[:4]) for entry in entries], **counted})


def further_meta(path: Place) -> dict[str, Any]:
    """Return what the manifest of a complete store adds to its metadata.

    Raises:
        StoreError: The manifest is damaged.
    """
    manifest, found = unseal(path / MANIFEST), {}
    for name, kind in ((NORMALISED, int), (DEVIATION, float)):
        if name in manifest:
            check_kind(path / MANIFEST, name, manifest[name], kind)
            found[name] = manifest[name]
    return found


def listed_shards(path: Place, spec: Spec) -> dict[Range, str | None]:
    """Return the shards in the manifest with their checksums, after a look at the names in the folder.

    One listing, whatever the number of shards; the size of each is compared when it is read.

    Raises:
        StoreError: The manifest is damaged or another store's, or a shard is missing.
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
    names = set(list_names(path))
    for entry in entries if isinstance(entries, list) else ():
        start, stop, _, checksum = _checked_entry(name, entry)
        if start != position or stop <= start:
            message = f"{name}: the rows {position} to {start} are in no shard"
            raise StoreError(message)
        shard = Range(start, stop)
        if shard.file_name not in names:
            missing = path / SHARDS / shard.file_name
            message = f"{missing}: a shard is missing; the same generate_distributions call makes it again"
            raise StoreError(message)
        shards[shard] = checksum
        position = stop
    if position != rows:
        message = f"{name}: expected {rows} rows, but the shards end at {position}"
        raise StoreError(message)
    return shards


def _checked_entry(name: Place, entry: Any) -> tuple[int, int, int, str]:
    check_kind(name, "shards", entry, list)
    if len(entry) != 4:
        message = f"{name}: expected start, stop, size and checksum of a shard, got {len(entry)} entries"
        raise StoreError(message)
    for value, kind in zip(entry, (int, int, int, str), strict=True):
        check_kind(name, "shards", value, kind)
    return entry[0], entry[1], entry[2], entry[3]
