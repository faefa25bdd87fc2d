"""The few operations by which a store changes the disk, and publishing a file whole by means of them.

All changes go through these functions, so that tests can count, fail, kill and replay them one by one.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from probly.data_generator.errors import StoreError
from probly.data_generator.formats import atomic
from probly.data_generator.toolkit.places import Place, Url
from probly_data_generator_store import naming, objects

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
UNBLOCKED = getattr(os, "O_NONBLOCK", 0)  # opening a FIFO would wait for its other end
READ_AT_ONCE = 1 << 20


def create(path: Path) -> int:
    """Create a file that does not exist and return its handle."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o666)


def write(handle: int, data: Any, offset: int) -> None:
    """Write all bytes of a buffer at a place in the file; the system may take fewer at a time."""
    view = memoryview(data)
    if not view.nbytes:
        return
    view = view.cast("B")
    while view:
        count = _write_some(handle, view, offset)
        view, offset = view[count:], offset + count


def _write_some(handle: int, view: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(handle, view, offset)
    os.lseek(handle, offset, os.SEEK_SET)
    return os.write(handle, view)


def sync(handle: int) -> None:
    """Wait until a file's bytes are on the disk."""
    os.fsync(handle)


def give_name(source: Path, target: Path) -> bool:
    """Give a file its final name, in one step, unless another file has it; see ``naming.give_name``."""
    return naming.give_name(source, target)


def rename(source: Path, target: Path) -> None:
    """Give a folder its final name, in one step."""
    source.replace(target)


def remove(path: Place) -> None:
    """Remove a file."""
    if isinstance(path, Url):
        objects.remove(path)
    else:
        path.unlink()


def make_directory(path: Path) -> None:
    """Make a directory, unless another process has made it at this moment."""
    path.mkdir(exist_ok=True)


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk, where the file system knows how."""
    atomic.sync_directory(path)


def exists(path: Place) -> bool:
    """Return whether there is something, be it a link to nothing."""
    return objects.exists(path) if isinstance(path, Url) else os.path.lexists(path)


def names(folder: Place) -> list[str]:
    """Return the names in a folder, in one listing."""
    return objects.names(folder) if isinstance(folder, Url) else [entry.name for entry in os.scandir(folder)]


def drafts(*folders: Place) -> list[Path]:
    """Return the drafts that writers have left in some folders; an object store has none."""
    return [draft for folder in folders if isinstance(folder, Path) for draft in folder.glob(".*.part")]


def forget(path: Place) -> None:
    """Forget what is known of a store: others may have written to it. Of a disk, nothing is known in advance."""
    if isinstance(path, Url):
        objects.forget(path)


def draft_of(path: Place) -> "Draft | objects.Upload":
    """Begin a file that will be published whole or not at all."""
    return objects.Upload(path) if isinstance(path, Url) else Draft(path)


class Draft:
    """A file under a temporary name, until it is published whole or discarded.

    Args:
        path: Its name is hidden and gets the suffix ``.part``; no two drafts have the same one, whoever makes them.
    """

    def __init__(self, path: Path) -> None:
        self.temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self.handle: int | None = create(self.temporary)

    def write(self, data: Any, offset: int, *, early: bool = False) -> None:
        """Write bytes at a place.

        Args:
            data: The bytes.
            offset: The place.
            early: Let the disk begin with them at once, so that there is less to wait for in the end.
        """
        assert self.handle is not None
        write(self.handle, data, offset)
        if early and hasattr(os, "posix_fadvise"):
            # Linux starts to write dirty pages that it is told not to keep; it drops only clean ones.
            os.posix_fadvise(self.handle, offset, memoryview(data).nbytes, os.POSIX_FADV_DONTNEED)

    def publish(self, path: Path) -> bool:
        """Make the file immutable, wait until it is on the disk, and give it its name.

        A failure is never tried again: after a failed fsync, a later one succeeds without having written anything.

        Returns:
            Whether it has the name now; another file keeps it.
        """
        assert self.handle is not None
        if hasattr(os, "fchmod"):
            with atomic.where_offered():
                os.fchmod(self.handle, 0o444)  # a mapped file must not shrink under its readers
        sync(self.handle)
        self._close()
        given = give_name(self.temporary, path)
        if given:
            sync_directory(path.parent)
        with contextlib.suppress(OSError):  # it is moved where there are no links, and in nobody's way elsewhere
            remove(self.temporary)
        return given

    def discard(self) -> None:
        """Remove the file, unless it has been published."""
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            remove(self.temporary)

    def _close(self) -> None:
        if self.handle is not None:
            handle, self.handle = self.handle, None
            os.close(handle)


def publish(path: Place, pieces: Iterable[Any]) -> bool:
    """Write an immutable file whole or not at all: temporary name, fsync, final name, fsync of the directory.

    Returns:
        Whether it was published; a file that has the name already stays as it is.
    """
    draft: Any = draft_of(path)
    try:
        offset = 0
        for piece in pieces:
            draft.write(piece, offset)
            offset += memoryview(piece).nbytes
        published: bool = draft.publish(path)
    except BaseException:
        draft.discard()
        raise
    return published


def make_directories(path: Place) -> None:
    """Make a directory and its parents, so that they survive a power loss."""
    if isinstance(path, Url):
        return
    missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
    for folder in reversed(missing):
        make_directory(folder)
        sync_directory(folder.parent)


@contextlib.contextmanager
def reading(path: Place, *, start_only: bool = False) -> Iterator[tuple[int, int]]:
    """Open a regular file and give its handle and its size.

    Args:
        path: The file.
        start_only: Whether its header is enough, for what has to be fetched.

    Raises:
        StoreError: It is missing, cannot be opened, or is a link, a folder, a FIFO or a device.
    """
    if isinstance(path, Url):
        with objects.reading(path, start_only=start_only) as found:
            yield found
        return
    try:
        handle = os.open(path, os.O_RDONLY | NO_FOLLOW | UNBLOCKED)
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be opened as a file of a store: {error}"
        raise StoreError(message) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            message = f"{path}: expected a regular file, got one of the mode {stat.filemode(status.st_mode)}"
            raise StoreError(message)
        yield handle, status.st_size
    except OSError as error:
        message = f"{path}: cannot be read: {error}"
        raise StoreError(message) from error
    finally:
        with contextlib.suppress(OSError):  # what was read is not worse for it
            os.close(handle)


def read_at(handle: int, count: int, offset: int) -> bytes:
    """Return up to ``count`` bytes from ``offset``; fewer only at the end of the file."""
    os.lseek(handle, offset, os.SEEK_SET)
    pieces = []
    while count > 0 and (piece := os.read(handle, min(count, READ_AT_ONCE))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def read_small(path: Place, limit: int) -> bytes:
    """Return the content of a file of at most ``limit`` bytes.

    Raises:
        StoreError: It is larger, or cannot be read.
    """
    with reading(path) as (handle, size):
        if size > limit:
            message = f"{path}: expected at most {limit} bytes, got {size}"
            raise StoreError(message)
        return read_at(handle, size, 0)
