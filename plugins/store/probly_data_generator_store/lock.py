"""One writer per store: a lock that the operating system drops together with its holder."""

import contextlib
import os
from pathlib import Path

from probly.data_generator.errors import StoreError
from probly_data_generator_store.files import NO_FOLLOW

_held: set[int] = set()


def _forget_in_child() -> None:
    # A forked loader worker shares the lock; it must not keep it when this process is killed.
    for handle in _held:
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class Lock:
    """The right to write to a store, held until ``release`` or the end of the process.

    Args:
        path: The lock file; it is made if need be and stays. Only the lock on it counts, not its existence.

    Raises:
        StoreError: Another writer holds it.
    """

    def __init__(self, path: Path) -> None:
        self.handle: int | None = os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o666)
        try:
            _lock(self.handle)
            _check_same(self.handle, path)
            _held.add(self.handle)
        except OSError as error:
            self.release()
            message = f"{path.parent}: another writer is at work on this store; wait for it, or stop it ({error})"
            raise StoreError(message) from error
        except BaseException:  # Ctrl-C
            self.release()
            raise

    def release(self) -> None:
        """Give the right back."""
        if self.handle is not None:
            _held.discard(self.handle)
            os.close(self.handle)
            self.handle = None


def _check_same(handle: int, path: Path) -> None:
    # Its holder may have removed it, with a store that got no rows, since it was opened.
    if not os.path.samestat(os.fstat(handle), path.stat()):
        message = f"{path} was replaced at this moment"
        raise FileNotFoundError(message)


def _lock(handle: int) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
