"""Writing a file whole or not at all; for every format, strangers' ones included."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

NOT_OFFERED = (errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF)
"""How file systems such as CIFS and FUSE say that they know no modes, or no fsync of a folder."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that takes the place of ``path`` when the block ends well, and vanishes when it does not.

    The bytes reach the disk before the name does, so a crash leaves the old file or the new one, never a torn one.
    Missing folders are made.

    Args:
        path: Where the file will be.

    Yields:
        The temporary file, open for writing bytes, in the same folder.

    Raises:
        OSError: It cannot be written; the error names ``path``, not the temporary file.

    Examples:
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing(path) as file:
        ...     _ = file.write(b"old")
        >>> with contextlib.suppress(KeyboardInterrupt), replacing(path) as file:
        ...     _ = file.write(b"ne")
        ...     raise KeyboardInterrupt
        >>> path.read_bytes(), os.listdir(path.parent)
        (b'old', ['a.txt'])
    """
    try:
        with _replacing(path) as file:
            yield file
    except OSError as error:
        if error.errno is None or (error.filename and Path(error.filename).absolute().parent != path.absolute().parent):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; give this one the mode that open() would have.
        umask = os.umask(0)
        os.umask(umask)
        with where_offered():
            Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_directory(path.parent)


@contextlib.contextmanager
def where_offered() -> Iterator[None]:
    """Do what makes a file safer, where the file system offers it; not for the fsync of data, which must succeed.

    Examples:
        >>> with where_offered():
        ...     raise OSError(errno.EINVAL, "Invalid argument")
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_OFFERED:
            raise


def sync_directory(directory: Path) -> None:
    """Wait until the names in a folder are on the disk, where the file system knows how."""
    if os.name == "posix":  # elsewhere a directory cannot be opened
        handle = os.open(directory, os.O_RDONLY)
        try:
            with where_offered():
                os.fsync(handle)
        finally:
            with contextlib.suppress(OSError):
                os.close(handle)
