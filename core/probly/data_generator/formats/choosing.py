"""Files of distributions: the path's suffix names the format, whoever provides it."""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

from probly.data_generator.discovery.listing import CORE, FORMATS, blaming, claims, single_claim
from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import NotInstalledError
from probly.data_generator.label_values import names_in

OURS: Final = {"fod": "store", "npz": "store", "parquet": "parquet", "safetensors": "store"}
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
    found = _find(Path(path))
    if found is None:
        message = f"{path}: expected one of the suffixes {', '.join(suffixes())}, got {Path(path).suffix!r}"
        raise ValueError(message)
    return found


def _find(path: Path) -> Any:
    """Return the format of a path's suffix, or None where neither an installed one nor one of ours is called so."""
    suffix, installed = path.suffix, claims(FORMATS)
    name = suffix.lower().removeprefix(".")
    if name not in installed and name in OURS:
        message = f'{path}: the format {suffix} is not installed; run: pip install "{CORE}[{OURS[name]}]"'
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
        return found


def streaming(path: Path) -> Callable[..., Any]:
    """Return ``open_sink`` of a path's format.

    Raises:
        ValueError: The suffix names no format, or one that cannot take rows as they come.
        NotInstalledError: See ``format_of``.
    """
    found = _find(path)
    if found is None:
        message = f"{path}: expected a store's path, which ends in .fod, as out"
        raise ValueError(message)
    if not hasattr(found, "open_sink"):
        message = (
            f"{path}: rows cannot be streamed to {path.suffix}; pass a store's path, which ends in .fod, as out, or "
            "leave out away and call save_distributions"
        )
        raise ValueError(message)
    opened: Callable[..., Any] = found.open_sink
    return opened


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
    checked = Distributions.from_mapping(distributions)
    whole = {**checked.meta, **(meta or {})}
    names_in(whole, checked.num_classes)  # what could not be read back is not written
    found = format_of(path)
    if checked.columns and not getattr(found, "KEEPS_COLUMNS", False):
        message = (
            f"{path}: {Path(path).suffix} keeps rows and labels, not the columns {', '.join(checked.columns)}; choose "
            "another format, or leave them out: Distributions(d.probabilities, d.indices, d.labels, d.meta)"
        )
        raise TypeError(message)
    found.write(Path(path), checked, whole)


def load(path: str | PathLike[str]) -> tuple[Distributions, dict[str, Any]]:
    """Read distributions and their metadata from any file that ``save`` writes.

    Raises:
        FileNotFoundError: There is no such file.
        StoreError: The file is damaged or holds something else.
        ValueError: The suffix names no format.
        NotInstalledError: See ``save``.
    """
    distributions = format_of(path).read(Path(path))
    return distributions, distributions.meta
