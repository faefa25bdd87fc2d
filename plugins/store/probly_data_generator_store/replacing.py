"""Putting a finished store in the place of an older one, so that at no moment neither is there.

The command line does so; a script may as well:

    fresh = replacing.beside(path)
    generator.generate_distributions(dataset, out=fresh)
    replacing.replace(path, fresh)
"""

import os
import shutil
import tempfile
from pathlib import Path

from probly.data_generator.errors import StoreError
from probly_data_generator_store import files
from probly_data_generator_store.lock import Lock
from probly_data_generator_store.reader import open_partial, open_store
from probly_data_generator_store.shards import NAME
from probly_data_generator_store.spec import MANIFEST, SHARDS, SPEC
from probly_data_generator_store.writer import LOCK


def beside(path: Path) -> Path:
    """Return where the new store is made: in the same folder, so that it can be renamed.

    Examples:
        >>> beside(Path("runs/teacher.fod")).as_posix()
        'runs/.teacher.fresh.fod'
    """
    return path.with_name(f".{path.stem}.fresh{path.suffix}")


def _is_begun(path: Path) -> bool:
    """Return whether a store has nothing but its empty folders: its run was stopped before the first rows."""
    names = {found.relative_to(path).as_posix() for found in path.rglob("*")} if path.is_dir() else set()
    return SHARDS in names and names <= {SHARDS, LOCK}


def check_replaceable(path: Path) -> None:
    """Refuse to replace what is no store, one with files that are not its own, or one that somebody writes to.

    Raises:
        StoreError: It is no store, or holds something else, or another writer is at work on it.
    """
    if not os.path.lexists(path):
        return
    try:
        if not _is_begun(path):
            open_partial(path)
    except (StoreError, OSError) as error:
        message = (
            f"{path}: exists, but cannot be opened as a store, so it is not replaced ({error}); move it away, or "
            "choose another path"
        )
        raise StoreError(message) from error
    _refuse_foreign(path)
    if os.path.lexists(path / LOCK):
        Lock(path / LOCK).release()


def _refuse_foreign(path: Path) -> None:
    """Refuse what would be deleted together with a store, though no run has written it."""
    own = {SPEC, MANIFEST, SHARDS, LOCK}
    foreign = [entry for entry in path.iterdir() if entry.name not in own and not _is_part(entry)]
    foreign += [entry for entry in (path / SHARDS).iterdir() if not NAME.fullmatch(entry.name) and not _is_part(entry)]
    if foreign:
        names = ", ".join(sorted(entry.relative_to(path).as_posix() for entry in foreign)[:3])
        message = f"{path}: holds more than a store, so it is not replaced: {names}; move that away first"
        raise StoreError(message)


def _is_part(entry: Path) -> bool:
    return entry.name.startswith(".") and entry.name.endswith(".part")


def discard(fresh: Path) -> None:
    """Remove what an earlier run left at the place where a new store is made.

    Raises:
        StoreError: See ``check_replaceable``.
    """
    check_replaceable(fresh)
    shutil.rmtree(fresh)


def replace(path: Path, fresh: Path) -> None:
    """Give a complete store the name of an older one, and remove that.

    A crash in between leaves the older one in a hidden folder beside, and the new one where it was made: the same
    call then ends what this one began.

    Raises:
        StoreError: The new store is not complete; or see ``check_replaceable``.
    """
    open_store(fresh)
    check_replaceable(path)
    folder = path.absolute().parent
    aside = None
    if os.path.lexists(path):
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".replaced", dir=folder))
        files.rename(path, aside / path.name)
    files.rename(fresh, path)
    files.sync_directory(folder)
    if aside is not None:
        shutil.rmtree(aside)
