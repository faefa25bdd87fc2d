"""Writing a store: rows are collected to shards, shards are published whole, and the published shards are the journal.

Whatever happens, what is published stays: the next writer with the same identity continues there.
"""

import contextlib
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import InvalidOutputError, StoreError
from probly.data_generator.formats.shared import decode_meta, encode_meta
from probly.data_generator.rows import FloatRows
from probly.data_generator.toolkit.places import Place
from probly_data_generator_store import files, kept, layout
from probly_data_generator_store.encodings import encoding_of
from probly_data_generator_store.held import Held
from probly_data_generator_store.kept import Kept
from probly_data_generator_store.lock import Lock
from probly_data_generator_store.manifest import manifest_bytes
from probly_data_generator_store.publisher import Publisher
from probly_data_generator_store.shards import Range, check_no_link, gaps, list_shards, read_shard
from probly_data_generator_store.spec import MANIFEST, SHARDS, SPEC, Spec, refuse_differences

LOCK = "lock"
clock = time.monotonic


class Limits(NamedTuple):
    """When a shard is closed: at the first batch after either limit."""

    megabytes: float = 64
    seconds: float = 30


class StoreWriter:
    """The one writer of a store, within a block, at whose end the rows that it holds are published.

    Args:
        path: The store; it is made if need be.
        identity: What every run on this store must have in common, as JSON.
        encoding: How rows are kept: ``"float32"``, ``"float16"`` or ``"top-<k>"``.
        limits: When a shard is closed; at 64 megabytes or 30 seconds by default.
        sample_keys: What to write beside the rows, shape ``(samples,)``, or None.

    Attributes:
        spec: What the store is, or None until ``begin``.
        published: The rows that are safe.

    Raises:
        ValueError: A limit or the encoding is none.
        StoreError: When the block begins: another writer is at work, the identity differs, a published shard is
            damaged, or the folder is none of ours.
    """

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any],
        encoding: str = "float32",
        limits: Limits | None = None,
        sample_keys: npt.NDArray[Any] | None = None,
    ) -> None:
        self.encoding = encoding_of(encoding)
        limits = limits or Limits()
        if not (limits.megabytes > 0 and limits.seconds > 0):
            message = f"shard_megabytes, shard_seconds: expected more than 0, got {limits.megabytes}, {limits.seconds}"
            raise ValueError(message)
        self.path, self.identity, self.limits = path, dict(identity), limits
        self._shards = path / SHARDS
        self.sample_keys = sample_keys
        self.spec: Spec | None = None
        self.published: list[Range] = []
        self.held = Held(0)
        self._since = 0.0
        self._disk = Publisher(path, self._bytes_to_come, lambda: self.safe_rows)
        self._made = False
        self._lock: Lock | None = None

    def _resume(self) -> None:
        for leftover in files.drafts(self.path, self.path / SHARDS):
            files.remove(leftover)
        if not os.path.lexists(self.path / SPEC):
            check_new(self.path)
            return
        self.spec = Spec.read(self.path / SPEC)
        if self.spec.shard_rows is not None:
            message = f"{self.path}: is shared by several writers, and can be continued only as such"
            raise StoreError(message)
        refuse_differences(self.path, self.spec, self.identity, self.encoding.name)
        if os.path.lexists(self.path / MANIFEST):  # a shard was removed, so the store is no longer complete
            files.remove(self.path / MANIFEST)
            files.sync_directory(self.path)
        for rows in list_shards(self.path):
            read_shard(self.path, self.spec, rows, self.encoding)
            self.published.append(rows)

    def begin(
        self,
        classes: int,
        meta: Mapping[str, Any],
        *,
        rows: int | None,
        decided: str | None,
        keyed: bool = False,
        columns: Mapping[str, Kept] | None = None,
    ) -> None:
        """Say what only the first rows tell; the first writer of a store publishes it, later ones compare.

        Raises:
            InvalidOutputError: The published rows have another number of classes, or other columns.
            ValueError: The encoding needs more classes.
        """
        if self.spec is None:
            if classes:
                self.encoding.encode(np.zeros((0, classes), np.float32))  # refuses what it cannot keep
            spec = Spec.new(
                identity=self.identity, decided=decided, rows=rows, classes=classes, encoding=self.encoding.name,
                keyed=keyed, meta=decode_meta(encode_meta(self.path, meta)), columns=dict(columns or {}),
            )  # fmt: skip
            if not self._disk.publish(self.path / SPEC, spec.to_bytes()):
                raise self._other_writer(SPEC)
            self.spec = spec
        elif self.spec.classes != classes:
            message = f"{self.path}: expected {self.spec.classes} classes as in the store, got {classes}"
            raise InvalidOutputError(message)
        elif classes and self.spec.columns != (columns or {}):
            message = f"{self.path}: expected the columns {self.spec.columns} as in the store, got {columns or {}}"
            raise InvalidOutputError(message)
        rows_per_shard = self.limits.megabytes * 2**20 / max(self._row_bytes(), 1)
        self.held.capacity = math.ceil(min(rows_per_shard, 2**62))

    def _row_bytes(self) -> int:
        assert self.spec is not None
        return self.encoding.row_bytes(self.spec.classes) + kept.row_bytes(self.spec.columns, self.encoding)

    def missing(self, start: int, stop: int) -> list[Range]:
        """Return the parts of a range that are neither published nor held."""
        held = [self.held.rows] if self.held.count else []
        return gaps(sorted([*self.published, *held]), start, stop)

    def append(
        self,
        start: int,
        rows: FloatRows,
        labels: Any = None,
        keys: npt.NDArray[np.int64] | None = None,
        normalised: int = 0,
        columns: Mapping[str, npt.NDArray[Any]] | None = None,
    ) -> None:
        """Take consecutive rows from ``start`` on; ``begin`` must have been called.

        Raises:
            InvalidOutputError: They have another number of classes than the store.
            StoreError: A shard could not be published.
        """
        assert self.spec is not None
        if rows.shape[1] != self.spec.classes:
            message = f"index {start}: expected {self.spec.classes} classes as before, got {rows.shape[1]}"
            raise InvalidOutputError(message)
        if self.held.count and start != self.held.rows.stop:
            self.flush()
        if not self.held.count:
            self.held.start, self._since = start, clock()
        tensors = {**self.encoding.encode(rows), **kept.tensors_of(columns or {}, self.encoding)}
        self.held.add(tensors if keys is None else {**tensors, "keys": keys}, labels, len(rows), normalised)
        if self.held.count >= self.held.capacity or clock() - self._since >= self.limits.seconds:
            self.flush()
        else:
            self._disk.write_early(self._shards, self.held.start, self.held.first_tensor())

    def flush(self) -> None:
        """Publish the rows held as one shard.

        Raises:
            StoreError: The disk is full or failed; nothing more is written then.
        """
        if not self.held.count or self._disk.broken:
            return
        assert self.spec is not None
        rows = self.held.rows
        header, *data = layout.pieces(*self.held.content(self.spec.id, self.sample_keys, {}), self._disk.done)
        if not self._disk.publish_shard(self._shards / rows.file_name, header, data):
            raise self._other_writer(rows.file_name)
        self.published = sorted([*self.published, rows])
        self.held.drop()

    @property
    def safe_rows(self) -> int:
        """The number of rows that are published, which no crash can take away."""
        return sum(rows.stop - rows.start for rows in self.published)

    def _bytes_to_come(self) -> str:
        if self.spec is None or self.spec.rows is None:
            return "an unknown number of bytes"
        return f"{max(self.spec.rows - self.safe_rows, 0) * self._row_bytes()} bytes"

    def finish(self, rows: int) -> None:
        """Publish the manifest: the store holds these rows, all of them, and is complete.

        Raises:
            StoreError: Rows are missing, or the manifest cannot be written.
        """
        self.flush()
        assert self.spec is not None
        left = gaps(self.published, 0, rows)
        if left or (self.published and self.published[-1].stop != rows):
            message = f"{self.path}: expected the rows 0 to {rows}, but {left or self.published[-1]} differ"
            raise StoreError(message)
        if not self._disk.publish(self.path / MANIFEST, manifest_bytes(self.path, self.spec.id, rows, self.published)):
            raise self._other_writer(MANIFEST)

    def _other_writer(self, name: str) -> StoreError:
        # Its file system keeps no locks between machines.
        return StoreError(f"{self.path}: another writer is at work on this store, and has published {name}; stop it")

    def __enter__(self) -> Self:
        try:  # whatever is taken is taken within it: Ctrl-C comes between any two lines
            check_folder(self.path)
            self._made = not os.path.lexists(self.path)
            files.make_directories(self.path / SHARDS)
            self._lock = Lock(self.path / LOCK)
            self._resume()
        except OSError as error:
            self.close()
            raise self._disk.failure(error, self.path, 0) from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish the whole batches that are held, and give the lock back."""
        try:
            self.flush()
        except StoreError as failure:
            if error is None:
                raise
            error.add_note(f"and the last rows could not be saved: {failure}")
        finally:
            self.close()

    def close(self) -> None:
        """Give the lock back, if it was taken; rows that are held and not published are lost."""
        try:
            self._disk.discard()
            if self._lock is not None and self._made and not os.path.lexists(self.path / SPEC):
                self._remove_empty()
        finally:
            if self._lock is not None:
                self._lock.release()

    def _remove_empty(self) -> None:
        """Remove the folder that a refused run has made; only while it is locked, and only if nothing is in it."""
        with contextlib.suppress(OSError):
            (self.path / SHARDS).rmdir()
            files.remove(self.path / LOCK)
            self.path.rmdir()


def check_new(path: Place) -> None:
    """Refuse a folder that has what only a store with a spec may have.

    Raises:
        StoreError: It is one.
    """
    if list_shards(path) or files.exists(path / MANIFEST):
        message = f"{path}: holds shards or a manifest, but no {SPEC}; restore it, or remove the folder"
        raise StoreError(message)


def check_folder(path: Path) -> None:
    """Refuse a folder that is none of a store.

    Raises:
        StoreError: It holds something else.
    """
    if not os.path.lexists(path):
        return
    check_no_link(path / SHARDS)
    try:
        names = {entry.name for entry in path.iterdir()}
    except OSError as error:
        message = f"{path}: expected a folder: {error}"
        raise StoreError(message) from error
    foreign = {name for name in names - {SPEC, MANIFEST, SHARDS, LOCK} if not name.endswith(".part")}
    if foreign:
        message = f"{path}: not a store: it holds {', '.join(sorted(foreign)[:3])}; choose another path"
        raise StoreError(message)
