"""Publishing the files of a store: drafts that are begun early, and what an error of the disk means for the run."""

import contextlib
import errno
import shutil
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from probly.data_generator.errors import StoreError
from probly.data_generator.toolkit.places import Place
from probly_data_generator_store import files, layout

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
EARLY_BYTES = 8 << 20
"""What is written at once before a shard is closed."""


@contextlib.contextmanager
def changing(path: Place) -> Iterator[None]:
    """Say of an error of the disk what it means where several writers share a store: nothing but this is lost.

    Raises:
        StoreError: The block raised such an error.
    """
    try:
        yield
    except OSError as error:
        message = (
            f"{path}: cannot be written: {error}; what was published is safe, and the same call goes on from there"
        )
        raise StoreError(message) from error


class Publisher:
    """Writes one file at a time.

    Args:
        store: The store's path.
        to_come: Returns in words how many bytes the rest of the run needs.
        safe: Returns the number of rows that are published.

    Attributes:
        broken: Whether the disk has failed; nothing may be written after that.
    """

    def __init__(self, store: Place, to_come: Callable[[], str], safe: Callable[[], int]) -> None:
        self.store, self._to_come, self._safe = store, to_come, safe
        self.broken = False
        self.done = layout.NOTHING
        """What has been written of the next shard's first tensor."""
        self._draft: Any = None

    def write_early(self, folder: Place, start: int, data: Any) -> None:
        """Write what has come since the last time, so that the disk works while the next rows are computed.

        Args:
            folder: Where the shards are.
            start: The first row of a shard whose end is not known yet; the same in every call until it is published.
            data: All bytes of its first tensor so far.
        """
        if len(data) - self.done.size < EARLY_BYTES or self.broken:
            return
        path = folder / f"{start:012}"
        with self._disk(path, len(data)):
            draft = self._begun(path)
            piece = data[self.done.size :]
            draft.write(piece, layout.ROOM + self.done.size, early=True)
        self.done = layout.Written(len(data), zlib.crc32(piece, self.done.checksum))

    def publish_shard(self, path: Place, header: bytes, data: list[Any]) -> bool:
        """Write the rest of a shard and publish it.

        Returns:
            Whether it is there, byte for byte; another one that was there already stays as it is.

        Raises:
            StoreError: The disk is full or failed.
        """
        with self._disk(path, len(header) + sum(piece.nbytes for piece in data)):
            draft = self._begun(path)
            skipped = self.done.size if len(header) == layout.ROOM else 0
            draft.write(header, 0)
            offset = len(header)
            for piece in data:
                part = piece.reshape(-1).view(np.uint8)[skipped:] if piece.nbytes else b""
                draft.write(part, offset + skipped)
                offset, skipped = offset + piece.nbytes, 0
            published = draft.publish(path)
            self._forget()  # within the block: Ctrl-C in between must not leave a draft that is closed already
        return published or _begins_with(path, header)

    def _begun(self, path: Place) -> Any:
        if self._draft is not None and self._draft.handle is None:  # signals came faster than they could be handled
            self.discard()
        if self._draft is None:
            self._draft = files.draft_of(path)
        return self._draft

    def publish(self, path: Place, content: bytes) -> bool:
        """Publish a small file; see ``publish_shard``.

        Raises:
            StoreError: The disk is full or failed.
        """
        with self._disk(path, len(content)):
            published = files.publish(path, [content])
        return published or _begins_with(path, content)

    @contextlib.contextmanager
    def _disk(self, path: Place, needed: int) -> Iterator[None]:
        """Remove the draft if the block fails, and say what an error of the disk means for the run."""
        try:
            yield
        except OSError as error:
            # A failed fsync may have lost what it should have written, and would succeed the next time.
            self.broken = True
            self.discard()
            raise self.failure(error, path, needed) from error
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove what has been written of a shard that is not published."""
        draft = self._draft
        self._forget()  # first: a signal may end this at any point, and a draft that is closed takes no more bytes
        if draft is not None:
            draft.discard()

    def _forget(self) -> None:
        self._draft, self.done = None, layout.NOTHING

    def failure(self, error: OSError, path: Place, needed: int) -> StoreError:
        """Return what to tell the user about an error of the disk."""
        message = f"{path}: cannot be written: {error}; "
        if error.errno in FULL:
            free = 0
            with contextlib.suppress(OSError):
                free = shutil.disk_usage(self.store).free
            message += f"it needs {needed} bytes, {free} are free; the rest of the run needs about {self._to_come()}; "
        return StoreError(f"{message}{self._safe()} rows are safe, and the same call continues from there")


def _begins_with(path: Place, content: bytes) -> bool:
    """Return whether a file begins so; the header of a shard has the checksum of its rows."""
    with files.reading(path, start_only=True) as (handle, _):
        return files.read_at(handle, len(content), 0) == content
