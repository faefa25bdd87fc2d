"""One writer per store: a lock that the operating system drops together with its holder."""

import contextlib
import errno
import io
import os
from pathlib import Path

from probly.data_generator.errors import StoreError
from probly_data_generator_store.files import NO_FOLLOW

HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_held: set[io.FileIO] = set()


def _forget_in_child() -> None:
    # A forked loader worker shares the lock; it must not keep it when this process is killed.
    for file in _held:
        with contextlib.suppress(OSError):
            file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class Lock:
    """The right to write to a store, held until ``release`` or the end of the process.

    Args:
        path: The lock file; it is made if need be and stays. Only the lock on it counts, not its existence.
        shared: Share it with others who do; it keeps out only those who do not. Where the file system knows no locks,
            nothing does: what writers of a shared store publish harms nobody.

    Raises:
        StoreError: Another writer holds it, or the file system knows no locks.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.file: io.FileIO | None = None  # it is closed once, however often it is asked to be
        try:
            self.file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o666), "r+")
            _held.add(self.file)
            _lock(self.file.fileno(), shared)
            _check_same(self.file.fileno(), path)
        except OSError as error:
            if shared and error.errno in WITHOUT_LOCKS:
                return
            failure = _failure(path, error, opened=self.file is not None)
            self.release()
            raise failure from error
        except BaseException:  # Ctrl-C
            self.release()
            raise

    def release(self) -> None:
        """Give the right back."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.close()
            _held.discard(self.file)


def _failure(path: Path, error: OSError, *, opened: bool) -> Exception:
    # A store that got no rows is removed by its holder, together with the file that waits to be locked.
    if (opened and error.errno in HELD) or isinstance(error, FileNotFoundError):
        return StoreError(f"{path.parent}: another writer is at work on this store; wait for it, or stop it ({error})")
    if opened and error.errno in WITHOUT_LOCKS:
        return StoreError(
            f"{path.parent}: its file system cannot lock a file, so that two writers could not be kept apart; write "
            f"to another disk and move the finished folder ({error})"
        )
    return error


def _check_same(handle: int, path: Path) -> None:
    if not os.path.samestat(os.fstat(handle), path.stat()):
        message = f"{path} was replaced at this moment"
        raise FileNotFoundError(message)


def _lock(handle: int, shared: bool) -> None:
    if os.name == "nt":
        import msvcrt

        if not shared:  # there are only exclusive ones
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
