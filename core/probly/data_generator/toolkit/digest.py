"""Digests of arrays and of whatever else a model computes with, the same in every process."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.toolkit.contents import Contents, Look
from probly.data_generator.toolkit.nests import is_array

BLOCK_BYTES = 4 << 20
"""Larger arrays are read in blocks of this size, by as many threads as there are processors."""

NOT_SEEN = "not seen"
"""How the digest of a model begins whose content cannot be seen; the digest of nothing would be no digest."""


def digest(parts: Iterable[tuple[str, Any]]) -> str:
    """Return the SHA-256 of named arrays: names, dtypes, shapes and bytes, or of large ones the SHA-256 of each block.

    Args:
        parts: Anything that ``np.asarray`` accepts, in an order that does not change between processes.
    """
    whole = hashlib.sha256()
    for name, value in parts:
        array = np.ascontiguousarray(value)
        whole.update(f"{name}:{array.dtype.str}:{np.shape(value)};".encode())
        if array.nbytes:
            _update_with_bytes(whole, array.reshape(-1).view(np.uint8))
    return f"sha256:{whole.hexdigest()}"


def digest_files(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of all files of a folder by their names in it."""
    files = sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
    # An empty file cannot be mapped to memory.
    mapped = (np.memmap(one, np.uint8, mode="r") if one.stat().st_size else np.empty(0, np.uint8) for one in files)
    return digest(zip((one.relative_to(path).as_posix() for one in files), mapped, strict=True))


def _update_with_bytes(whole: Any, data: npt.NDArray[np.uint8]) -> None:
    if len(data) <= BLOCK_BYTES:
        whole.update(data.data)
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # it brings logging, which few runs need

    blocks = (data[start : start + BLOCK_BYTES].data for start in range(0, len(data), BLOCK_BYTES))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for block in pool.map(lambda block: hashlib.sha256(block).digest(), blocks):
            whole.update(block)


def update_digest(whole: Any, value: Any, seen: dict[int, Any]) -> None:
    """Add a sample of a dataset to a digest: arrays, numbers and text by content, objects by their state.

    Stores that version 0.1 began know their samples by it, so it stays as it is beside ``digest_state``.

    Args:
        whole: A hash of hashlib's.
        value: The sample.
        seen: The objects that were met, by their id; they stay alive, so that no other object gets it.
    """
    whole.update(f"{type(value).__qualname__}:".encode())
    if isinstance(value, str | bytes | int | float | complex | None):
        whole.update(repr(value).encode())
    elif is_array(value) or isinstance(value, np.generic) or hasattr(value, "__array_interface__"):
        whole.update(digest([("", np.asarray(value))]).encode())
    elif isinstance(value, FunctionType | type):
        whole.update(value.__qualname__.encode())
    elif id(value) not in seen:
        seen[id(value)] = value
        for key, part in _parts(value):
            whole.update(f"{key};".encode())
            update_digest(whole, part, seen)


def _parts(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple):
        return enumerate(value)
    if isinstance(value, set | frozenset):
        return enumerate(sorted(value, key=repr))
    state = value.__getstate__()
    return state.items() if isinstance(state, Mapping) else [("", state)]


def digest_state(model: Any, look: Look | None = None) -> str:
    """Return the digest of everything that a model computes with, as far as it can be seen.

    Objects are known by their type and state (whatever pickling would store), functions by their code, what they close
    over, and the numbers, arrays, functions and models among the globals that they name. Neither the order of
    attributes nor the sharing of arrays matters, nor the state of random generators.

    Args:
        model: Any object.
        look: What a backend knows about its framework's own objects; see ``toolkit.contents.Look``.

    Returns:
        ``"sha256:..."``, followed by the types of the parts that could not be looked into, if there are any; or a text
        that begins with ``"not seen"`` where nothing that was learned was seen, as of a function that calls a server.

    Examples:
        >>> digest_state({"weights": np.eye(2)}).startswith("sha256:")
        True
        >>> digest_state(len)
        'not seen'
    """
    contents = Contents(look, digest)
    try:
        found = f"sha256:{contents.digest(model).hex()}"
    except Exception as error:  # noqa: BLE001  # objects of strangers, which may do anything when looked at
        return f"{NOT_SEEN}: {type(error).__name__}"
    unseen = f", {NOT_SEEN}: {', '.join(sorted(contents.unseen))}" if contents.unseen else ""
    if contents.seen or (contents.code and not contents.unseen):
        return f"{found}{unseen}"
    # Code alone does not tell what was learned where it refers to more, but other code is another model.
    return f"{NOT_SEEN}, but code {found}{unseen}" if contents.code else NOT_SEEN


def is_seen(found: str | None) -> bool:
    """Return whether a digest tells one model, or one dataset, from another.

    Examples:
        >>> is_seen("sha256:00"), is_seen("not seen, but code sha256:00"), is_seen("")
        (True, False, False)
    """
    return bool(found) and not str(found).startswith(NOT_SEEN)
