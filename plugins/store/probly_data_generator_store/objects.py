"""Stores in an object store that speaks S3: the same few operations as those of ``files``, by means of s3fs.

A file is one PUT that the server refuses if the name is taken (``If-None-Match``), so there are no drafts and nothing
to rename; what is below a store is known from one LIST; a shard is fetched once and mapped from a bounded cache.
"""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from probly.data_generator.errors import NotInstalledError, StoreError
from probly.data_generator.installing import CORE, install_advice
from probly.data_generator.toolkit.places import Url
from probly_data_generator_store import cache

START = 1 << 20
"""The bytes that are fetched of a shard for its header alone."""
LARGEST_PUT = 5 << 30
TRIES_AT_CONFLICT = 5
_LISTING = "listing"


def _system(url: Url) -> Any:
    """Return the file system of s3fs, which finds its credentials and endpoint as every AWS client does."""
    if not url.text.startswith("s3://"):
        message = f"{url}: expected a path or a URL that begins with s3://"
        raise ValueError(message)
    try:
        import s3fs
    except ImportError as error:
        message = f"{url}: s3fs is not installed; {install_advice(f'{CORE}[s3]')}"
        raise NotInstalledError(message) from error
    return s3fs.S3FileSystem()


def _refuse(error: Exception, url: Url) -> NoReturn:
    """Raise an error of a client library as one of the system: the same remedies go for both.

    Raises:
        OSError: Always.
    """
    if isinstance(error, OSError):
        raise error
    raise OSError(errno.EIO, f"{type(error).__name__}: {error}", str(url)) from error


def listing(url: Url) -> dict[str, Any]:
    """Return size and version of every object of a store, by URL; asked for once, until ``forget``.

    Args:
        url: The store, or any place below it that was made of it.
    """
    known: dict[str, Any] | None = url.known.get(_LISTING)  # once: another thread may forget it
    if known is None:
        system = _system(url)
        system.invalidate_cache()
        try:
            found = system.find(_root(url), detail=True)
        except FileNotFoundError:
            found = {}
        except Exception as error:  # noqa: BLE001  # botocore's are of many kinds
            _refuse(error, url)
        known = {f"s3://{name}": (entry["size"], entry.get("ETag", "")) for name, entry in found.items()}
        url.known[_LISTING] = known
    return known


def _root(url: Url) -> str:
    """Return the store that a place is in: the first part of it that ends like one."""
    parts = url.text.split("/")
    ends = [number for number, part in enumerate(parts) if part.lower().endswith(".fod")]
    return "/".join(parts[: ends[0] + 1]) if ends else url.text


def forget(url: Url) -> None:
    """Forget what is known: others may have written since."""
    url.known.clear()


def exists(url: Url) -> bool:
    """Return whether there is an object, or one below."""
    return any(name == url.text or name.startswith(f"{url.text}/") for name in listing(url))


def names(url: Url) -> list[str]:
    """Return the names right below a place."""
    start = f"{url.text}/"
    return sorted({name[len(start) :].partition("/")[0] for name in listing(url) if name.startswith(start)})


def publish(url: Url, content: Any) -> bool:
    """Write an object, whole or not at all, and return whether it was; False if there is one already.

    Raises:
        OSError: The server refused, or cannot be reached.
    """
    system = _system(url)
    for _ in range(TRIES_AT_CONFLICT):
        try:
            system.pipe_file(url.text, bytes(content), mode="create", chunksize=LARGEST_PUT)
        except FileExistsError:
            return False
        except Exception as error:  # noqa: BLE001  # see above
            code = _code(error)
            if code in ("412", "PreconditionFailed"):  # of servers that do not say which condition
                return False
            if code in ("409", "ConditionalRequestConflict"):  # another writer is at it at this moment
                continue
            _refuse(error, url)
        if _LISTING in url.known:
            url.known[_LISTING][url.text] = (len(content), "")
        return True
    raise OSError(errno.EBUSY, f"{TRIES_AT_CONFLICT} conflicts with other writers, one after the other", str(url))


def _code(error: BaseException | None) -> str:
    """Return what the server called an error."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


def remove(url: Url) -> None:
    """Remove an object."""
    try:
        _system(url).rm_file(url.text)
    except Exception as error:  # noqa: BLE001  # see above
        _refuse(error, url)
    url.known.get(_LISTING, {}).pop(url.text, None)


@contextmanager
def reading(url: Url, *, start_only: bool = False) -> Iterator[tuple[int, int]]:
    """Give a handle of a local copy of an object, and its size.

    Args:
        url: The object.
        start_only: Whether the header is enough.

    Raises:
        StoreError: It is missing or cannot be read.
    """
    copy: Path | None = None
    try:
        if url.suffix == ".safetensors" and not start_only:
            handle, copy = _cached(url)
            size = os.fstat(handle).st_size
        else:
            handle, size = _fetched(url, start_only)
    except Exception as error:
        message = f"{url}: cannot be read: {error}"
        raise StoreError(message) from error
    try:
        yield handle, size
    except StoreError as error:
        if copy is not None:  # it may be the copy that is damaged, and not what it was made of
            with suppress(OSError):
                copy.unlink()
            error.add_note(f"its copy, {copy}, was removed; the next time, it is fetched anew")
        raise
    finally:
        os.close(handle)


def _fetched(url: Url, start_only: bool) -> tuple[int, int]:
    """Return a handle of a file without a name that holds an object or its start, and the size of the object."""
    system = _system(url)
    if start_only:
        size = _size_and_version(url, system)[0]
        content = system.cat_file(url.text, start=0, end=min(size, START))
        header = 8 + int.from_bytes(content[:8], "little")
        if START < header <= size:
            content = system.cat_file(url.text, start=0, end=header)
    else:
        content = system.cat_file(url.text)
        size = len(content)
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        handle = os.dup(file.fileno())
    return handle, size


def _size_and_version(url: Url, system: Any) -> tuple[int, str]:
    size, version = listing(url).get(url.text) or (0, "")
    if not version:  # published after the LIST
        entry = system.info(url.text, refresh=True)
        size, version = entry["size"], entry.get("ETag", "")
    return size, version


def _cached(url: Url) -> tuple[int, Path]:
    """Return a handle of a local copy of a shard, fetched if there is none of this version, and its place."""
    system = _system(url)
    size, version = _size_and_version(url, system)
    name = hashlib.sha256(f"{url} {version} {size}".encode()).hexdigest()
    return cache.opened(name, size, lambda draft: system.get_file(url.text, draft))


class Upload:
    """What is written of an object until it is published, in memory; see ``files.Draft``.

    Args:
        url: What it is begun for.
    """

    def __init__(self, url: Url) -> None:
        self.url = url
        self.handle: int | None = 0
        self._content = bytearray()

    def write(self, data: Any, offset: int, *, early: bool = False) -> None:  # noqa: ARG002
        """Take bytes at a place."""
        view = memoryview(data)
        stop = offset + view.nbytes
        if stop > len(self._content):
            self._content.extend(bytes(stop - len(self._content)))
        if view.nbytes:
            self._content[offset:stop] = view.cast("B")

    def publish(self, url: Url) -> bool:
        """Write the object, and return whether it was written; False if there is one already."""
        self.handle = None
        return publish(url, self._content)

    def discard(self) -> None:
        """Forget the bytes."""
        self.handle = None
        self._content.clear()
