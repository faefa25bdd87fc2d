"""Files of distributions: the path's suffix names the format, whoever provides it."""

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

from probly.data_generator.discovery.formats import find_format, format_of, suffixes
from probly.data_generator.distributions import Distributions
from probly.data_generator.toolkit.places import place_of

__all__ = ["format_of", "load", "place_of", "save", "sharing", "streaming", "suffixes"]


def streaming(path: str | PathLike[str]) -> Callable[..., Any]:
    """Return ``open_sink`` of a path's format.

    Raises:
        ValueError: The suffix names no format, or one that cannot take rows as they come.
        NotInstalledError: See ``format_of``.
    """
    found = find_format(place_of(path))
    if found is None:
        message = f"{path}: expected a store's path, which ends in .fod, as out"
        raise ValueError(message)
    if not hasattr(found, "open_sink"):
        message = (
            f"{path}: rows cannot be streamed to {place_of(path).suffix}; pass a store's path, which ends in .fod, as "
            "out, or leave out away and call save_distributions"
        )
        raise ValueError(message)
    opened: Callable[..., Any] = found.open_sink
    return opened


def sharing(path: str | PathLike[str]) -> Any:
    """Return the format of a path that several workers can share; see ``formats.contract.SharedFormat``.

    Raises:
        ValueError: The suffix names no format, or one that cannot be shared.
        NotInstalledError: See ``format_of``.
    """
    found = find_format(place_of(path))
    if not hasattr(found, "open_ranges"):
        message = f"{path}: workers cannot share it; pass a store's path, which ends in .fod, as out"
        raise ValueError(message)
    return found


def is_shared(path: str | PathLike[str]) -> bool:
    """Return whether there is a file that several workers share."""
    found = find_format(place_of(path))
    return hasattr(found, "is_shared") and bool(found.is_shared(place_of(path)))


def lacks_keys(path: str | PathLike[str]) -> bool:
    """Return whether there is a file that a run began without keys of its samples, and so has to be ended without."""
    found = find_format(place_of(path))
    return hasattr(found, "lacks_keys") and bool(found.lacks_keys(place_of(path)))


def save(path: str | PathLike[str], distributions: Mapping[Any, Any], meta: Mapping[str, Any] | None = None) -> None:
    """Write distributions to a file, whole or not at all.

    Args:
        path: Its suffix names the format; missing folders are made.
        distributions: A Distributions, or any mapping from index to row.
        meta: Added to the distributions' own metadata, and stronger.

    Raises:
        ValueError: The suffix names no format, a row is no distribution, or class names are not one per class.
        NotInstalledError: The format has a distribution of its own, which is not installed.
        TypeError: The metadata, or columns, cannot be written.
    """
    Distributions.from_mapping(distributions).save(path, meta=meta)


def load(path: str | PathLike[str]) -> tuple[Distributions, dict[str, Any]]:
    """Read distributions and their metadata from any file that ``save`` writes.

    Raises:
        FileNotFoundError: There is no such file.
        StoreError: The file is damaged or holds something else.
        ValueError: The suffix names no format.
        NotInstalledError: See ``save``.
    """
    distributions = Distributions.load(path)
    return distributions, distributions.meta
