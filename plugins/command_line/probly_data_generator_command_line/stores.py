"""What the commands know of stores by themselves, because the store may not be installed."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import NotInstalledError
from probly.data_generator.toolkit.places import Place, Url
from probly_data_generator_command_line.errors import InputError

if TYPE_CHECKING:
    from probly.data_generator.store import Store

SUFFIX = ".fod"
SPEC, SHARDS = "spec.json", "shards"
"""What every store has in its folder."""


def is_store_path(path: Place) -> bool:
    """Return whether a path is one of a store, by its suffix."""
    return path.suffix.lower() == SUFFIX


def is_store(folder: Path) -> bool:
    """Return whether a folder is a store, complete or not."""
    return os.path.lexists(folder / SPEC) and (folder / SHARDS).is_dir()


def as_store(distributions: Distributions) -> "Store | None":
    """Return distributions if they are an open store."""
    try:
        from probly.data_generator.store import Store
    except NotInstalledError:
        return None
    return distributions if isinstance(distributions, Store) else None


def check_place(path: Place) -> None:
    """Refuse to write into a store, whose folder holds nothing but its own files.

    Raises:
        InputError: A folder above the path is a store.
    """
    if isinstance(path, Url):
        return
    nearest = path.parent.resolve()
    for folder in (nearest, *nearest.parents):
        if is_store(folder):
            message = f"{path}: lies in the store {folder}, which holds nothing but its own files; choose another path"
            raise InputError(message)
