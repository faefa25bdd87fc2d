"""The format ``.fod``: a store, written at once or by a run as its rows come."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.errors import StoreError
from probly.data_generator.formats.atomic import where_offered
from probly.data_generator.formats.shared import simple_labels
from probly.data_generator.run.terminating import terminating
from probly.data_generator.toolkit.places import Place, Url
from probly_data_generator_store import files, kept
from probly_data_generator_store.columns import packed_labels
from probly_data_generator_store.encodings import NUMBERS_AT_ONCE
from probly_data_generator_store.finishing import finish
from probly_data_generator_store.ranges import Ranges
from probly_data_generator_store.reader import Store, open_store
from probly_data_generator_store.spec import MANIFEST, SPEC, Spec, refuse_differences
from probly_data_generator_store.streaming import StoreSink
from probly_data_generator_store.writer import Limits, StoreWriter

__all__ = [
    "CHECKED",
    "KEEPS_COLUMNS",
    "TAKES_URLS",
    "finish",
    "is_shared",
    "lacks_keys",
    "open_ranges",
    "open_sink",
    "read",
    "write",
]

KEEPS_COLUMNS = KEEPS_SAMPLE_KEYS = True
TAKES_URLS = True
CHECKED = ("the checksum of every file and of every shard",)
"""What ``verify`` compares."""


def read(path: Place) -> Store:
    """Open a complete store; see ``open_store``."""
    return open_store(path)


def write(
    path: Place, distributions: Distributions, meta: Mapping[str, Any], encoding: str = "float32", megabytes: float = 64
) -> None:
    """Write a store, whole or not at all.

    Args:
        path: Where; nothing may be there yet, because a folder cannot be replaced in one step.
        distributions: The rows.
        meta: JSON-serialisable metadata.
        encoding: ``"float32"``, ``"float16"`` or ``"top-<k>"``.
        megabytes: The size at which a shard is closed.

    Raises:
        FileExistsError: Something is there.
        TypeError: The labels are neither numbers nor text.
    """
    if isinstance(path, Url):
        message = f"{path}: a folder cannot be given to an object store in one step; save it here, and copy it"
        raise ValueError(message)  # noqa: TRY004  # it is the value that is wrong
    labels = simple_labels(path, distributions.labels)
    packed_labels(path, labels[:1] if labels is not None else None)
    if path.exists():
        message = f"{path}: exists; remove it first, or choose another path"
        raise FileExistsError(message)
    files.make_directories(path.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        _fill(temporary, distributions, labels, meta, encoding, megabytes)
        with where_offered():
            temporary.chmod(path.parent.stat().st_mode & 0o777)
        files.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    files.sync_directory(path.parent)


def _fill(
    path: Path, distributions: Distributions, labels: Any, meta: Mapping[str, Any], encoding: str, megabytes: float
) -> None:
    rows = len(distributions)
    indices = distributions.indices
    keyed = bool(rows) and int(indices[-1]) != rows - 1
    limits = Limits(megabytes, float("inf"))
    with StoreWriter(path, {"saved": True}, encoding, limits, distributions.sample_keys) as writer:
        columns = kept.described(distributions.columns)
        writer.begin(distributions.num_classes, meta, rows=rows, decided=None, keyed=keyed, columns=columns)
        for part, block in row_blocks(distributions, NUMBERS_AT_ONCE):
            given = None if labels is None else labels[part]
            beside = {name: column[part] for name, column in distributions.columns.items()}
            writer.append(part.start, block, given, indices[part] if keyed else None, columns=beside)
        writer.finish(rows)


@contextmanager
def open_sink(path: Place, identity: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[StoreSink | Store]:
    """Give the sink of a run, or the store of an earlier one that is complete.

    However the block ends, the rows that are there are published then; SIGTERM ends it, too, where nobody else
    handles that.

    Args:
        path: The store.
        identity: What every run on it must have in common.
        options: ``encoding``, ``shard_megabytes``, ``shard_seconds`` and ``keys``; see ``formats.contract``.

    Raises:
        ValueError: An option is out of its domain.
        StoreError: It was begun by another run, another writer is at work on it, or the disk failed.
    """
    encoding, keys = options["encoding"], options["keys"]
    store = _complete(path, identity, encoding)
    if store is not None:
        yield store
        return
    assert isinstance(path, Path)  # an object store is always shared
    limits = Limits(options["shard_megabytes"], options["shard_seconds"])
    writer = StoreWriter(path, identity, encoding, limits, keys)
    try:
        with terminating(), writer:
            yield StoreSink(writer)
    finally:
        writer.close()  # where Ctrl-C came after the lock was taken, and before the block began


def is_shared(path: Place) -> bool:
    """Return whether there is a store that several writers share."""
    return files.exists(path / SPEC) and Spec.read(path / SPEC).shard_rows is not None


def lacks_keys(path: Place) -> bool:
    """Return whether there is a store that a run began without keys of its samples."""
    try:
        return files.exists(path / SPEC) and Spec.read(path / SPEC).identity.get("keys") is None
    except StoreError:  # which is said when it is opened
        return False


def open_ranges(path: Place, identity: Mapping[str, Any], options: Mapping[str, Any]) -> Ranges:
    """Give one of several writers its view of a store; see ``ranges.Ranges``."""
    return Ranges(path, identity, options)


def _complete(path: Place, identity: Mapping[str, Any], encoding: str) -> Store | None:
    """Return the store if it is complete; what is missing is generated, and the writer refuses what is damaged."""
    if not files.exists(path / MANIFEST):
        return None
    try:
        store = open_store(path)
    except StoreError:
        return None
    refuse_differences(path, store.spec, identity, encoding)
    return store
