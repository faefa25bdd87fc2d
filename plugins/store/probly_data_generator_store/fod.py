"""Distributions that are already in memory, as a store: the format ``.fod`` of save and load."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from probly.data_generator.distributions import Distributions
from probly.data_generator.store import files
from probly_data_generator_store.opening import open_store
from probly_data_generator_store.reader import Store
from probly_data_generator_store.writer import Limits, StoreWriter

ROWS_AT_ONCE = 4096


def write(
    path: Path, distributions: Distributions, meta: Mapping[str, Any], form: str = "float32", megabytes: float = 64
) -> None:
    """Write a store, whole or not at all.

    Args:
        path: Where; nothing may be there yet, because a folder cannot be replaced in one step.
        distributions: The rows.
        meta: JSON-serialisable metadata.
        form: ``"float32"``, ``"float16"`` or ``"top-<k>"``.
        megabytes: The size at which a shard is closed.

    Raises:
        FileExistsError: Something is there.
    """
    if path.exists():
        message = f"{path}: exists; remove it first, or choose another path"
        raise FileExistsError(message)
    files.make_directories(path.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        _fill(temporary, distributions, meta, form, megabytes)
        temporary.chmod(path.parent.stat().st_mode & 0o777)
        files.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    files.sync_directory(path.parent)


def _fill(path: Path, distributions: Distributions, meta: Mapping[str, Any], form: str, megabytes: float) -> None:
    rows = len(distributions)
    indices, labels = distributions.indices, distributions.labels
    keyed = bool(rows) and int(indices[-1]) != rows - 1
    with StoreWriter(path, {"saved": True}, form, Limits(megabytes, float("inf"))) as writer:
        writer.begin(distributions.num_classes, meta, rows=rows, decided=None, keyed=keyed)
        for start in range(0, rows, ROWS_AT_ONCE):
            part = slice(start, min(start + ROWS_AT_ONCE, rows))
            keys = indices[part]
            writer.append(
                start,
                distributions.gather(keys),
                None if labels is None else labels[part],
                keys if keyed else None,
            )
        writer.finish(rows)


def read(path: Path) -> Store:
    """Open a complete store; see ``open_store``."""
    return open_store(path)
