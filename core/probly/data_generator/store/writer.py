"""Writing a store: rows are collected to shards, shards are published whole, and the published shards are the journal.

Whatever happens, what is published stays: the next writer with the same identity goes on from there.
"""

import contextlib
import errno
import json
import math
import os
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import InvalidOutputError, StoreError
from probly.data_generator.outputs import FloatRows
from probly.data_generator.store import files, layout
from probly.data_generator.store.held import Held
from probly.data_generator.store.lock import Lock
from probly.data_generator.store.plain import decode_meta, encode_meta
from probly.data_generator.store.representations import representation
from probly.data_generator.store.shards import Range, gaps, list_shards, read_shard
from probly.data_generator.store.spec import MANIFEST, SHARDS, SPEC, Spec, differences, seal

LOCK = "lock"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
EARLY_BYTES = 8 << 20
"""What is written at once before a shard is closed."""
clock = time.monotonic


class Limits(NamedTuple):
    """When a shard is closed: at the first batch after either limit."""

    megabytes: float = 64
    seconds: float = 30


class StoreWriter:
    """The one writer of a store; a context manager that publishes the rows it holds when the block ends, however.

    Args:
        path: The store; it is made if need be.
        identity: What every run on this store must have in common, as JSON.
        form: The name of the representation.
        limits: When a shard is closed; at 64 megabytes or 30 seconds by default.

    Attributes:
        spec: What the store is, or None until ``begin``.
        published: The rows that are safe.

    Raises:
        StoreError: Another writer is at work, the identity differs, a published shard is damaged, or the folder is
            none of ours.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, Any], form: str = "float32", limits: Limits | None = None
    ) -> None:
        self.form = representation(form)
        limits = limits or Limits()
        if not (limits.megabytes > 0 and limits.seconds > 0):
            message = f"shard_megabytes, shard_seconds: expected more than 0, got {limits.megabytes}, {limits.seconds}"
            raise ValueError(message)
        self.path, self.identity, self.limits = path, dict(identity), limits
        self.spec: Spec | None = None
        self.published: list[Range] = []
        self.broken = False
        self.held = Held(0)
        self._since = 0.0
        self._draft: files.Draft | None = None
        self._done = layout.NOTHING
        _check_folder(path)
        self._lock: Lock | None = None
        try:
            files.make_directories(path / SHARDS)
            self._lock = Lock(path / LOCK)
            self._resume()
        except OSError as error:
            self._release()
            raise self._failure(error, path, 0) from error
        except BaseException:
            self._release()
            raise

    def _resume(self) -> None:
        for folder in (self.path, self.path / SHARDS):
            for leftover in folder.glob(".*.part"):
                files.remove(leftover)
        if not os.path.lexists(self.path / SPEC):
            self._check_new()
            return
        self.spec = Spec.read(self.path / SPEC)
        refuse_differences(self.path, self.spec, self.identity, self.form.name)
        if os.path.lexists(self.path / MANIFEST):  # a shard was removed, so the store is no longer complete
            files.remove(self.path / MANIFEST)
            files.sync_directory(self.path)
        for rows in list_shards(self.path):
            read_shard(self.path, self.spec, rows, self.form)
            self.published.append(rows)

    def _check_new(self) -> None:
        if list_shards(self.path) or os.path.lexists(self.path / MANIFEST):
            message = f"{self.path}: holds shards or a manifest, but no {SPEC}; restore it, or remove the folder"
            raise StoreError(message)

    def begin(
        self, classes: int, meta: Mapping[str, Any], *, rows: int | None, decided: str | None, keyed: bool = False
    ) -> None:
        """Say what only the first rows tell; the first writer of a store publishes it, later ones compare.

        Raises:
            InvalidOutputError: The published rows have another number of classes.
        """
        if self.spec is None:
            spec = Spec.new(
                identity=self.identity, decided=decided, rows=rows, classes=classes, representation=self.form.name,
                keyed=keyed, meta=decode_meta(encode_meta(self.path, meta)),
            )  # fmt: skip
            self._publish(self.path / SPEC, spec.to_bytes())
            self.spec = spec
        elif self.spec.classes != classes:
            message = f"{self.path}: expected {self.spec.classes} classes as in the store, got {classes}"
            raise InvalidOutputError(message)
        rows_per_shard = self.limits.megabytes * 2**20 / max(self.form.row_bytes(classes), 1)
        self.held.capacity = math.ceil(min(rows_per_shard, 2**62))

    def missing(self, start: int, stop: int) -> list[Range]:
        """Return the parts of a range that are neither published nor held."""
        held = [self.held.rows] if self.held.count else []
        return gaps(sorted([*self.published, *held]), start, stop)

    def append(
        self, start: int, rows: FloatRows, labels: Any = None, keys: npt.NDArray[np.int64] | None = None
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
        tensors = self.form.encode(rows)
        self.held.add(tensors if keys is None else {**tensors, "keys": keys}, labels, len(rows))
        if self.held.count >= self.held.capacity or clock() - self._since >= self.limits.seconds:
            self.flush()
        else:
            self._write_early()

    def _write_early(self) -> None:
        """Write what has come since the last time, so that the disk works while the next rows are computed."""
        data = self.held.first_tensor()
        done = self._done
        if len(data) - done.size < EARLY_BYTES or self.broken:
            return
        path = self.path / SHARDS / f"{self.held.start:012}"
        with self._disk(path, len(data)):
            if self._draft is None:
                self._draft = files.Draft(path)
            piece = data[done.size :]
            self._draft.write(piece, layout.ROOM + done.size, early=True)
        self._done = layout.Written(len(data), zlib.crc32(piece, done.checksum))

    def flush(self) -> None:
        """Publish the rows held as one shard.

        Raises:
            StoreError: The disk is full or failed; nothing more is written then.
        """
        if not self.held.count or self.broken:
            return
        assert self.spec is not None
        rows = self.held.rows
        tensors, text = self.held.tensors()
        metadata = {"store": self.spec.id, "start": str(rows.start), "stop": str(rows.stop)}
        if text is not None:
            metadata["labels_dtype"] = text
        header, *data = layout.pieces(tensors, metadata, self._done)
        self._finish_draft(self.path / SHARDS / rows.file_name, header, data)
        self.published = sorted([*self.published, rows])
        self.held.drop()

    def _finish_draft(self, path: Path, header: bytes, data: list[Any]) -> None:
        with self._disk(path, len(header) + sum(piece.nbytes for piece in data)):
            draft = self._draft or files.Draft(path)
            self._draft = draft
            skipped = self._done.size if len(header) == layout.ROOM else 0
            draft.write(header, 0)
            offset = len(header)
            for piece in data:
                part = piece.reshape(-1).view(np.uint8)[skipped:] if piece.nbytes else b""
                draft.write(part, offset + skipped)
                offset, skipped = offset + piece.nbytes, 0
            draft.publish(path)
        self._forget_draft()

    def _forget_draft(self) -> None:
        self._draft, self._done = None, layout.NOTHING

    @contextlib.contextmanager
    def _disk(self, path: Path, needed: int) -> Iterator[None]:
        """Remove the draft if the block fails, and say what an error of the disk means for the run."""
        try:
            yield
        except OSError as error:
            # A failed fsync may have lost what it should have written, and would succeed the next time.
            self.broken = True
            self._discard_draft()
            raise self._failure(error, path, needed) from error
        except BaseException:
            self._discard_draft()
            raise

    def _discard_draft(self) -> None:
        if self._draft is not None:
            self._draft.discard()
        self._forget_draft()

    def _publish(self, path: Path, content: bytes) -> None:
        with self._disk(path, len(content)):
            files.publish(path, [content])

    def _failure(self, error: OSError, path: Path, needed: int) -> StoreError:
        safe = sum(rows.stop - rows.start for rows in self.published)
        message = f"{path}: cannot be written: {error}; "
        if error.errno in FULL:
            free = shutil.disk_usage(self.path).free if self.path.exists() else 0
            message += f"it needs {needed} bytes, {free} are free; "
            message += f"the rest of the run needs about {self._bytes_to_come(safe)}; "
        return StoreError(f"{message}{safe} rows are safe, and the same call goes on from there")

    def _bytes_to_come(self, safe: int) -> str:
        if self.spec is None or self.spec.rows is None:
            return "an unknown number of bytes"
        return f"{max(self.spec.rows - safe, 0) * self.form.row_bytes(self.spec.classes)} bytes"

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
        shards = []
        for shard in self.published:
            path = self.path / SHARDS / shard.file_name
            with files.reading(path) as (handle, size):
                checksum = layout.read_header(handle, size).metadata["data_checksum"]
            shards.append([shard.start, shard.stop, size, checksum])
        self._publish(self.path / MANIFEST, seal({"store": self.spec.id, "rows": rows, "shards": shards}))

    def __enter__(self) -> Self:
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
            self._release()

    def _release(self) -> None:
        self._discard_draft()
        if self._lock is not None:
            self._lock.release()


def _check_folder(path: Path) -> None:
    if not os.path.lexists(path):
        return
    try:
        names = {entry.name for entry in path.iterdir()}
    except OSError as error:
        message = f"{path}: expected a folder: {error}"
        raise StoreError(message) from error
    foreign = {name for name in names - {SPEC, MANIFEST, SHARDS, LOCK} if not name.endswith(".part")}
    if foreign:
        message = f"{path}: not a store: it holds {', '.join(sorted(foreign)[:3])}; choose another path"
        raise StoreError(message)


def refuse_differences(path: Path, spec: Spec, identity: Mapping[str, Any], form: str) -> None:
    """Refuse to go on with a store that another run began.

    Raises:
        StoreError: The message names every difference.
    """
    wanted = json.loads(json.dumps({**identity, "representation": form}))
    found = differences({**spec.identity, "representation": spec.representation}, wanted)
    if found:
        message = f"{path}: was begun by another run; {'; '.join(found)}. Undo the change, or choose another path"
        raise StoreError(message)
