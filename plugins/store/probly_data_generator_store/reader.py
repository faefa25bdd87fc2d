"""Opening and checking a store."""

import os
from typing import Any

from probly.data_generator.errors import StoreError
from probly.data_generator.toolkit.places import Place, place_of
from probly_data_generator_store import files
from probly_data_generator_store.manifest import further_meta, listed_shards
from probly_data_generator_store.shards import Range, check_no_link, list_shards
from probly_data_generator_store.spec import MANIFEST, SHARDS, SPEC, Spec
from probly_data_generator_store.stored_rows import StoredRows


class Store(StoredRows):
    """Distributions that stay on the disk; made by ``open_store`` and ``open_partial``.

    A shard is verified when its first row is read, then mapped: float32 rows are views of the file. Use ``gather``
    for many rows, and ``blocks`` to go through all of them; ``probabilities`` and ``np.asarray`` bring everything into
    memory. Pickling sends the path.

    Attributes:
        path: The folder.
        spec: What the store is.
        complete: Whether every row is there.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the path, not the rows."""
        return reopen, (str(self.path), self.complete, self.spec.id)

    def verify(self) -> None:
        """Check every byte and every row.

        Raises:
            StoreError: The message names all shards that are damaged.
        """
        current = open_at(self.path, partial=not self.complete)
        problems = current._shards.problems()  # noqa: SLF001  # its own class
        if not problems:
            _ = current.indices  # those of several shards ascend, too
        if current.spec != self.spec:
            problems.append(f"{self.path}: has been replaced by another store since it was opened")
        if problems:
            raise StoreError("\n".join(problems))

    def __repr__(self) -> str:
        """Return size and place in one line."""
        state = "" if self.complete else ", incomplete"
        return f"Store({self.path}: {len(self)} samples x {self.num_classes} classes{state})"


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
    return open_at(place_of(path), partial=False)


def open_partial(path: str | os.PathLike[str]) -> Store:
    """Open what there is of a store: the rows of its published shards. An index without a row raises KeyError.

    Raises:
        FileNotFoundError: There is nothing at the path.
        StoreError: It is damaged, or no store.
    """
    return open_at(place_of(path), partial=True)


def open_at(path: Place, *, partial: bool) -> Store:
    """Open a store; see ``open_store`` and ``open_partial``."""
    path = path.absolute()  # what a worker with another working directory will open
    files.forget(path)
    if not files.exists(path):
        message = f"{path}: there is no such store"
        raise FileNotFoundError(message)
    spec = Spec.read(path / SPEC)
    check_no_link(path / SHARDS)
    if files.exists(path / MANIFEST):
        try:
            return _opened(path, spec, listed_shards(path, spec), further_meta(path))
        except StoreError:
            if not partial:
                raise
    published = list_shards(path)
    if not partial:
        raise StoreError(_incomplete(path, spec, published))
    return _opened(path, spec, dict.fromkeys(published))


def _opened(path: Place, spec: Spec, shards: dict[Range, str | None], further: dict[str, Any] | None = None) -> Store:
    store = Store(path, spec, shards, complete=further is not None)
    store.meta |= further or {}
    try:
        _ = store.class_names
    except ValueError as error:
        message = f"{path / SPEC}: {error}"
        raise StoreError(message) from error
    return store


def _incomplete(path: Place, spec: Spec, published: list[Range]) -> str:
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
    store = open_at(place_of(path), partial=not complete)
    if store.spec.id != store_id:
        message = f"{path}: has been replaced by another store since it was pickled"
        raise StoreError(message)
    return store
