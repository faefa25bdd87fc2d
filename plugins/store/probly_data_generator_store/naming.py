"""Giving a file its final name in one step, and never in place of another file.

The hard link of POSIX does that everywhere that matters, network file systems included. A few file systems, such as
FAT, know no links; there the operating system is asked to rename without replacing.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path

WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_LINUX_HERE, _NO_REPLACE = -100, 1  # AT_FDCWD and RENAME_NOREPLACE of renameat2(2)
_MAC_NO_REPLACE = 4  # RENAME_EXCL of renamex_np(2)


def give_name(source: Path, target: Path) -> bool:
    """Give a file its final name and return whether it has it now; False if another file has it already.

    The temporary name may be left for the caller to remove.

    Raises:
        OSError: The file system refused.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return _is_ours(source, target)  # over a network, the answer to a link that was made may be lost
    except FileNotFoundError:
        if os.path.lexists(target):
            return False  # whoever completed the store has removed what was no longer wanted
        raise
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        return _move(source, target)
    return True


def _is_ours(source: Path, target: Path) -> bool:
    try:
        return source.samefile(target)
    except FileNotFoundError:
        return False


def _move(source: Path, target: Path) -> bool:
    try:
        if os.name == "nt":
            source.rename(target)  # which never replaces there
        else:
            _rename_without_replacing(os.fsencode(source), os.fsencode(target))
    except FileExistsError:
        return False
    return True


def _rename_without_replacing(source: bytes, target: bytes) -> None:
    system = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        failed = system.renamex_np(source, target, _MAC_NO_REPLACE)
    elif hasattr(system, "renameat2"):
        failed = system.renameat2(_LINUX_HERE, source, _LINUX_HERE, target, _NO_REPLACE)
    else:
        failed = 1
        ctypes.set_errno(errno.ENOSYS)
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, f"{os.strerror(code)} (neither a link nor a rename that replaces nothing)", str(target))
