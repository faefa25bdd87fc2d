"""Putting a finished store in the place of an older one, so that at no moment neither is there."""

import os
import shutil
import tempfile
from pathlib import Path

from probly.data_generator.cli.errors import InputError
from probly.data_generator.errors import StoreError
from probly.data_generator.store import files, open_partial, open_store
from probly.data_generator.store.lock import Lock
from probly.data_generator.store.writer import LOCK


def beside(path: Path) -> Path:
    """Return where the new store is made: in the same folder, so that it can be renamed.

    Examples:
        >>> beside(Path("runs/teacher.fod")).as_posix()
        'runs/.teacher.fresh.fod'
    """
    return path.with_name(f".{path.stem}.fresh{path.suffix}")


def check_replaceable(path: Path) -> None:
    """Refuse to replace what is no store, or one that somebody writes to.

    Raises:
        InputError: It is no store.
        StoreError: Another writer is at work on it.
    """
    if not os.path.lexists(path):
        return
    try:
        open_partial(path)
    except (StoreError, OSError) as error:
        message = (
            f"{path}: exists, but cannot be opened as a store, so it is not replaced ({error}); move it away, or "
            "choose another path"
        )
        raise InputError(message) from error
    if os.path.lexists(path / LOCK):
        Lock(path / LOCK).release()


def replace(path: Path, fresh: Path) -> None:
    """Give a complete store the name of an older one, and remove that.

    A crash in between leaves the older one in a hidden folder beside, and the new one where it was made: the same
    command then goes on.

    Raises:
        InputError: See ``check_replaceable``.
        StoreError: The new store is not complete.
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
