"""Local copies of what was fetched from an object store: as many as fit into what the user allows.

Several processes may use one folder, and it may be one that holds other files: nothing but copies is ever removed.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FOLDER, GIGABYTES = "FIRST_ORDER_CACHE", "FIRST_ORDER_CACHE_GB"
"""The variables that say where copies are kept, and how many gigabytes of them (10)."""
_COPY = re.compile(r"[0-9a-f]{64}\.safetensors")
_DRAFT = re.compile(r"fetching-.*\.part")
SECONDS_OF_A_DRAFT = 86400.0
"""After that, whoever fetched it has died."""


def opened(name: str, size: int, fetch: Callable[[str], object]) -> tuple[int, Path]:
    """Return a handle of a copy, and where it is now; others may remove it at any time, which the handle outlives.

    Args:
        name: What it is called: 64 hexadecimal digits that tell it from all others.
        size: Its bytes.
        fetch: Writes it to a path.

    Raises:
        ValueError: The variable says no number.
        OSError: It cannot be fetched, or arrived with another size.
    """
    folder = _folder()
    copy = folder / f"{name}.safetensors"
    with suppress(FileNotFoundError):
        handle = os.open(copy, os.O_RDONLY)
        if os.fstat(handle).st_size == size:
            with suppress(OSError):
                os.utime(copy)  # the last one to be removed
            return handle, copy
        os.close(handle)
    _make_room(folder, size)
    handle, draft = tempfile.mkstemp(dir=folder, prefix="fetching-", suffix=".part")
    try:
        fetch(draft)
        _check_size(handle, size)
        Path(draft).replace(copy)
    except BaseException:
        os.close(handle)
        Path(draft).unlink(missing_ok=True)
        raise
    return handle, copy


def _check_size(handle: int, size: int) -> None:
    arrived = os.fstat(handle).st_size
    if arrived != size:
        message = f"expected {size} bytes, {arrived} arrived"
        raise OSError(message)


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get(FOLDER) or Path(home) / "first-order")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _gigabytes() -> float:
    text = os.environ.get(GIGABYTES) or "10"
    try:
        return float(text)
    except ValueError:
        message = f"{GIGABYTES}: expected a number, got {text!r}"
        raise ValueError(message) from None


def _make_room(folder: Path, size: int) -> None:
    """Remove the copies that were used the longest time ago; those that are mapped stay until they are let go."""
    most, copies = _gigabytes() * 1e9 - size, []
    for entry in os.scandir(folder):
        with suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            left = _DRAFT.fullmatch(entry.name) and time.time() - status.st_mtime > SECONDS_OF_A_DRAFT
            if _COPY.fullmatch(entry.name) or left:
                copies.append((status.st_mtime, status.st_size, entry.path))
    whole = sum(copy_size for _, copy_size, _ in copies)
    for _, copy_size, path in sorted(copies):
        if whole <= most:
            break
        with suppress(OSError):
            Path(path).unlink()
            whole -= copy_size
