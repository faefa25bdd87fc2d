"""Files of distributions: ``save`` and ``load`` choose the format by the path's suffix."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from probly.data_generator.distributions import Distributions
from probly.data_generator.store import fod, json, npz, parquet, safetensors
from probly_data_generator_store.opening import open_partial, open_store
from probly_data_generator_store.reader import Store

__all__ = ["FORMATS", "Store", "load", "open_partial", "open_store", "save"]

FORMATS = {".json": json, ".fod": fod, ".npz": npz, ".parquet": parquet, ".safetensors": safetensors}


def save(path: str | PathLike[str], distributions: Mapping[Any, Any], meta: Mapping[str, Any] | None = None) -> None:
    """Write distributions to a file, whole or not at all.

    Args:
        path: Its suffix names the format; missing folders are made.
        distributions: A Distributions, or any mapping from index to row.
        meta: Added to the distributions' own metadata, and stronger.

    Raises:
        ValueError: The suffix names no format, or a row is no distribution.
        TypeError: The metadata cannot be written.
    """
    checked = Distributions.from_mapping(distributions)
    _format(path).write(Path(path), checked, {**checked.meta, **(meta or {})})


def load(path: str | PathLike[str]) -> tuple[Distributions, dict[str, Any]]:
    """Read distributions and their metadata from any file that ``save`` writes.

    Raises:
        FileNotFoundError: There is no such file.
        StoreError: The file is damaged or holds something else.
        ValueError: The suffix names no format.
    """
    distributions = _format(path).read(Path(path))
    return distributions, distributions.meta


def _format(path: str | PathLike[str]) -> Any:
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        message = f"{path}: expected one of the suffixes {', '.join(FORMATS)}, got {suffix!r}"
        raise ValueError(message)
    return FORMATS[suffix]
