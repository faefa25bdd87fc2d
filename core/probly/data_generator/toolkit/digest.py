"""Digests of arrays and of objects, the same in every process."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.toolkit.nests import is_array

BLOCK_BYTES = 4 << 20
"""Larger arrays are read in blocks of this size, by as many threads as there are processors."""


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


def _update_with_bytes(whole: Any, data: npt.NDArray[np.uint8]) -> None:
    if len(data) <= BLOCK_BYTES:
        whole.update(data.data)
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # it brings logging, which few runs need

    blocks = (data[start : start + BLOCK_BYTES].data for start in range(0, len(data), BLOCK_BYTES))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for block in pool.map(lambda block: hashlib.sha256(block).digest(), blocks):
            whole.update(block)


def update_digest(whole: Any, value: Any, seen: set[int]) -> None:
    """Add any value to a digest: arrays, numbers and text by content, objects by their state."""
    whole.update(f"{type(value).__qualname__}:".encode())
    if isinstance(value, str | bytes | int | float | complex | None):
        whole.update(repr(value).encode())
    elif is_array(value) or isinstance(value, np.generic) or hasattr(value, "__array_interface__"):
        whole.update(digest([("", np.asarray(value))]).encode())
    elif isinstance(value, FunctionType | type):
        whole.update(value.__qualname__.encode())
    elif id(value) not in seen:
        seen.add(id(value))
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


def digest_state(model: Any) -> str:
    """Return the digest of an object's state, or an empty string for a function, whose state cannot be seen.

    Examples:
        >>> digest_state(lambda batch: batch)
        ''
    """
    if isinstance(model, MethodType):
        model = model.__self__
    if isinstance(model, FunctionType | type) or not hasattr(model, "__dict__"):
        return ""
    whole = hashlib.sha256()
    try:
        update_digest(whole, model, set())
    except Exception:  # noqa: BLE001  # an object that cannot be looked into is known by its name only
        return ""
    return f"sha256:{whole.hexdigest()}"
