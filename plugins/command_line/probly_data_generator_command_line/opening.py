"""Opening what earlier commands have written, with the remedies of the command line."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import StoreError
from probly.data_generator.formats.choosing import format_of, load
from probly.data_generator.toolkit.places import Place, Url
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.printing import shortened
from probly_data_generator_command_line.stores import SPEC, SUFFIX, as_store, is_store, is_store_path

if TYPE_CHECKING:
    from probly.data_generator.store import Store


def check_there(path: Place) -> None:
    """Refuse a path with nothing at it, or with a suffix that names no format.

    Raises:
        ValueError: See ``formats.choosing.format_of``.
        InputError: There is nothing.
        StoreError: It ends in .fod and is no store.
    """
    if isinstance(path, Url):  # whoever opens it asks the server, once
        format_of(path)
        return
    if path.is_dir() and not is_store_path(path):
        raise InputError(_no_store(path))
    format_of(path)
    if not os.path.lexists(path):
        message = f"{path}: there is no such store or file in {Path.cwd()}"
        raise InputError(message)
    if is_store_path(path) and not path.is_dir():
        message = f"{path}: expected a store, which is a folder, got a file"
        raise StoreError(message)
    if is_store_path(path) and not os.path.lexists(path / SPEC):
        message = (
            f"{path}: no store, or one whose run was stopped before its first rows: it has no {SPEC}; the "
            "`first-order generate` command that made it begins it again"
        )
        raise StoreError(message)


def _no_store(folder: Path) -> str:
    """Return what to say of a folder whose name is not that of a store."""
    if is_store(folder):
        return f"{folder}: is a store, but its name does not end in {SUFFIX}; rename it"
    found = sorted(entry.as_posix() for entry in folder.glob(f"*{SUFFIX}") if is_store(entry))
    inside = f"; in it there are the stores {shortened(found)}" if found else ""
    return f"{folder}: is a folder, expected a store, which ends in {SUFFIX}, or a file{inside}"


def open_any(path: Place) -> Distributions:
    """Open a store, complete or not, or a file.

    Raises:
        InputError: See ``check_there``.
        StoreError: It is damaged.
    """
    check_there(path)
    if not is_store_path(path):
        return load(path)[0]
    from probly.data_generator.store import open_partial

    return open_partial(path)


def open_complete(path: Place) -> Distributions:
    """Open a complete store, or a file.

    Raises:
        InputError: See ``check_there``.
        StoreError: Rows are missing, or it is damaged.
    """
    found = open_any(path)
    store = as_store(found)
    if store is not None and not store.complete:
        message = f"{path}: {missing_rows(store)}; run the `first-order generate` command that made it once more"
        raise StoreError(message)
    return found


def missing_rows(store: "Store") -> str:
    """Say how many rows of an incomplete store are there.

    Examples:
        >>> import tempfile
        >>> from probly.data_generator.store import open_store, save
        >>> path = tempfile.mkdtemp() + "/teacher.fod"
        >>> save(path, {0: [0.25, 0.75], 1: [0.5, 0.5]})
        >>> missing_rows(open_store(path))
        'incomplete, all 2 rows are there, but manifest.json is not, which is written last'
    """
    if len(store) == store.spec.rows:
        return f"incomplete, all {len(store):,} rows are there, but manifest.json is not, which is written last"
    total = "an unknown number of" if store.spec.rows is None else f"{store.spec.rows:,}"
    return f"incomplete, {len(store):,} of {total} rows are there"


def size_of(path: Place) -> int | None:
    """Return the bytes of a file or a store; None for what is on no disk."""
    return None if isinstance(path, Url) else size_on_disk(path)


def size_on_disk(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def bytes_text(count: int | None) -> str:
    """Return a number of bytes to read.

    Examples:
        >>> bytes_text(900), bytes_text(5_300_000)
        ('900 bytes', '5.3 MB')
    """
    if count is None:
        return "in an object store"
    if count < 1000:
        return f"{count} bytes"
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 1000 or unit == "TB":
            break
    return f"{size:.3g} {unit}"
