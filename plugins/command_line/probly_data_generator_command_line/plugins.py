"""Plugins of all kinds, by the entry points that name them: who provides what, and which code is theirs."""

import functools
import sys
from pathlib import Path

from probly.data_generator.discovery.listing import BACKENDS, COMMANDS, ENGINES, FORMATS, WRAPPERS, claims

GROUPS = (BACKENDS, WRAPPERS, FORMATS, COMMANDS, ENGINES)


def provided(group: str) -> dict[str, str]:
    """Return the names of a group of entry points, each with the distribution that provides it.

    Examples:
        >>> from importlib.metadata import version
        >>> provided(FORMATS)["json"] == f"probly-data-generator {version('probly-data-generator')}"
        True
    """
    found = {}
    for name, infos in sorted(claims(group).items()):
        owners = sorted(f"{info.distribution} {info.version}" for info in infos)
        found[name] = owners[0] if len(owners) == 1 else f"claimed by {' and '.join(owners)}; uninstall one of them"
    return found


def in_plugin(path: Path) -> bool:
    """Return whether a file of code belongs to an installed plugin that has been imported."""
    places = map(_place, _modules(tuple(sys.path)))
    return any(path == place or path.is_relative_to(place) for place in places if place is not None)


@functools.cache
def _modules(search_path: tuple[str, ...]) -> set[str]:  # what is installed depends on it
    """Return the modules that the entry points of all groups name; every frame of a traceback is compared with them."""
    infos = (info for group in GROUPS for claimed in claims(group).values() for info in claimed)
    return {info.entry_point.value.partition(":")[0].strip() for info in infos}


def _place(name: str) -> Path | None:
    """Return the file of a module, or the folder of the outermost package around it that is not shared by others."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        module = sys.modules.get(".".join(parts[:count]))
        file = getattr(module, "__file__", None)
        if file is not None:  # a namespace has none: several distributions may have a part in it
            return Path(file).parent if hasattr(module, "__path__") else Path(file)
    return None
