"""Opening a store: complete, or whatever there is of it."""

import os
from pathlib import Path

from probly.data_generator.errors import StoreError
from probly_data_generator_store.manifest import listed_shards
from probly_data_generator_store.reader import Store
from probly_data_generator_store.shards import Range, list_shards
from probly_data_generator_store.spec import MANIFEST, SPEC, Spec


def open_store(path: str | os.PathLike[str]) -> Store:
    """Open a complete store without reading its rows.

    Raises:
        FileNotFoundError: There is nothing at the path.
        StoreError: It is incomplete, damaged, or no store.

    Examples:
        >>> import tempfile
        >>> from probly.data_generator.store import save
        >>> path = tempfile.mkdtemp() + "/teacher.fod"
        >>> save(path, {0: [0.25, 0.75], 1: [0.5, 0.5]})
        >>> open_store(path)[0]
        array([0.25, 0.75], dtype=float32)
    """
    return open_at(Path(path), partial=False)


def open_partial(path: str | os.PathLike[str]) -> Store:
    """Open what there is of a store: the rows of its published shards. An index without a row raises KeyError.

    Raises:
        FileNotFoundError: There is nothing at the path.
        StoreError: It is damaged, or no store.
    """
    return open_at(Path(path), partial=True)


def open_at(path: Path, *, partial: bool) -> Store:
    """Open a store; see ``open_store`` and ``open_partial``."""
    path = path.absolute()  # what a worker with another working directory will open
    if not os.path.lexists(path):
        message = f"{path}: there is no such store"
        raise FileNotFoundError(message)
    spec = Spec.read(path / SPEC)
    if os.path.lexists(path / MANIFEST):
        try:
            return Store(path, spec, listed_shards(path, spec), complete=True)
        except StoreError:
            if not partial:
                raise
    published = list_shards(path)
    if not partial:
        raise StoreError(_incomplete(path, spec, published))
    return Store(path, spec, dict.fromkeys(published), complete=False)


def _incomplete(path: Path, spec: Spec, published: list[Range]) -> str:
    there = sum(rows.stop - rows.start for rows in published)
    missing = "an unknown number of" if spec.rows is None else max(spec.rows - there, 0)
    return (
        f"{path}: incomplete: {missing} rows are missing, {there} are there; call generate_distributions again with "
        "the same out=, or read what there is with probly.data_generator.store.open_partial"
    )


def reopen(path: str, complete: bool, store_id: str) -> Store:
    """Open the store that was pickled.

    Raises:
        StoreError: Another one is in its place.
    """
    store = open_at(Path(path), partial=not complete)
    if store.spec.id != store_id:
        message = f"{path}: has been replaced by another store since it was pickled"
        raise StoreError(message)
    return store
