"""File formats by suffix: which are installed, and the one that a path names."""

from os import PathLike
from typing import Any, Final

from probly.data_generator.discovery.listing import FORMATS, blaming, claims, single_claim
from probly.data_generator.errors import NotInstalledError
from probly.data_generator.installing import CORE, install_advice
from probly.data_generator.toolkit.places import Place, Url, place_of

OURS: Final = {
    "csv": "store", "feather": "parquet", "fod": "store", "npz": "store", "parquet": "parquet", "safetensors": "store"
}  # fmt: skip
"""The extra of the core that brings each format of ours that is no backend's."""


def suffixes() -> list[str]:
    """Return the suffixes of all installed formats, without importing any.

    Examples:
        >>> ".json" in suffixes()
        True
    """
    return sorted(f".{name}" for name in claims(FORMATS))


def format_of(path: str | PathLike[str]) -> Any:
    """Return the format of a path's suffix; see ``formats.contract``.

    Raises:
        ValueError: The suffix names no format.
        NotInstalledError: The format is one of ours, and its distribution is not installed.
        AmbiguousBackendError: Two distributions claim the suffix.
        BrokenBackendError: The format is installed, but cannot be imported, or does not read and write.
    """
    found = find_format(place_of(path))
    if found is None:
        message = f"{path}: expected one of the suffixes {', '.join(suffixes())}, got {place_of(path).suffix!r}"
        raise ValueError(message)
    return found


def find_format(path: Place) -> Any:
    """Return the format of a path's suffix, or None where neither an installed one nor one of ours is called so.

    Raises:
        ValueError: It is a URL, and the format knows only files of this machine.
        NotInstalledError: See ``format_of``, as for the others.
    """
    suffix, installed = path.suffix, claims(FORMATS)
    name = suffix.lower().removeprefix(".")
    if name not in installed and name in OURS:
        message = f"{path}: the format {suffix} is not installed; {install_advice(f'{CORE}[{OURS[name]}]')}"
        raise NotInstalledError(message)
    if name not in installed:
        return None
    info = single_claim(name, installed, ("format", "format"))
    with blaming(info, f"format {suffix}"):
        found = info.entry_point.load()
        lacking = [name for name in ("read", "write") if not callable(getattr(found, name, None))]
        if lacking:
            message = f"it lacks the function {' and '.join(lacking)}; see probly.data_generator.formats.contract"
            raise TypeError(message)
    if isinstance(path, Url) and not getattr(found, "TAKES_URLS", False):
        message = f"{path}: {suffix} is for files of this machine; only stores, which end in .fod, lie in object stores"
        raise ValueError(message)
    return found
