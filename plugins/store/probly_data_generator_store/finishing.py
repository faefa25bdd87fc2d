"""Completing a shared store: whoever sees that all shards are there publishes the manifest; the same for all."""

import contextlib
from collections.abc import Sequence

from probly.data_generator.errors import StoreError
from probly.data_generator.run.ranges import Receipt
from probly.data_generator.toolkit.places import Place
from probly_data_generator_store import files
from probly_data_generator_store.manifest import entry_of, manifest_of
from probly_data_generator_store.publisher import changing
from probly_data_generator_store.ranges import number_of_shards, refuse_replaced, refuse_unshared
from probly_data_generator_store.reader import Store, open_store
from probly_data_generator_store.shards import gaps, list_names, ranges_in
from probly_data_generator_store.spec import MANIFEST, SHARDS, SPEC, Spec, unseal


def finish(path: Place, receipts: Sequence[Receipt] = ()) -> Store:
    """Complete a store whose shards are all published, and open it; a complete one is opened.

    Args:
        path: The store.
        receipts: Those of the shards that this run has seen published; of the others, the header is read.

    Raises:
        FileNotFoundError: There is nothing at the path.
        StoreError: Shards are missing; the message says which. Or it is no shared store, or a shard is damaged, or
            the receipts are of a store that is not there.
    """
    files.forget(path)
    if receipts and not files.exists(path / SPEC):
        message = (
            f"{path}: the workers have published {len(receipts)} shards in a store there, and this machine sees none: "
            "it has been removed since, or the path leads to another place here. Let it be one that all workers and "
            "this machine see, of a shared file system or an object store"
        )
        raise StoreError(message)
    if not files.exists(path):
        message = f"{path}: there is no such store"
        raise FileNotFoundError(message)
    spec = Spec.read(path / SPEC)
    for receipt in receipts:
        refuse_replaced(path, spec, receipt.entry[-1])
    if files.exists(path / MANIFEST):
        if spec.shard_rows is not None:
            _remove_drafts(path)
        try:
            return open_store(path)
        except StoreError as error:
            if spec.shard_rows is not None and str(path / MANIFEST) in str(error):
                error.add_note(
                    "remove that file: all that it says stands in the shards, and the same call makes it again"
                )
            raise
    refuse_unshared(path, spec)
    _publish(path, _content(path, spec, receipts))
    _remove_drafts(path)
    return open_store(path)


def _content(path: Place, spec: Spec, receipts: Sequence[Receipt]) -> bytes:
    """Return the manifest of a store none of whose shards is missing."""
    rows = spec.rows or 0
    published = ranges_in(path, list_names(path))
    left = gaps(published, 0, rows)
    if left:
        done = sum(stop - start for start, stop in published)
        message = (
            f"{path}: {number_of_shards(spec) - len(published)} of {number_of_shards(spec)} shards are missing, the "
            f"first one of the rows {left[0].start} to {min(left[0].start + (spec.shard_rows or 1), rows)}; {done} of "
            f"{rows} rows are safe, and the same generate_distributions call goes on with the others"
        )
        raise StoreError(message)
    known = {(receipt.entry[0], receipt.entry[1]): receipt.entry for receipt in receipts}
    entries = [known.get((part.start, part.stop)) or entry_of(path, part, spec.id) for part in published]
    return manifest_of(spec.id, rows, entries)


def _publish(path: Place, content: bytes) -> None:
    with changing(path / MANIFEST):
        if files.publish(path / MANIFEST, [content]) or files.read_small(path / MANIFEST, len(content)) == content:
            return
    other = unseal(path / MANIFEST)
    message = f"{path}: was completed by another worker with other shards ({len(other['shards'])} of them); verify it"
    raise StoreError(message)


def _remove_drafts(path: Place) -> None:
    """Remove what writers have left; one that is still at work finds its shard published."""
    for leftover in files.drafts(path, path / SHARDS):
        with contextlib.suppress(OSError):
            files.remove(leftover)
