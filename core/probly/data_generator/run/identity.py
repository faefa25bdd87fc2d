"""Telling models, datasets and functions apart between two runs, as far as that is cheap; see docs/store.md."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.toolkit.loaders import is_loader
from probly.data_generator.toolkit.nests import columns, common_rows, is_array, is_table
from probly.data_generator.toolkit.samples import announced_length, fetch

WHOLE_BYTES = 256 << 20
"""Arrays up to this size are read whole; of larger ones, ``SAMPLED_ROWS`` rows."""
BLOCK_BYTES = 4 << 20
"""Larger arrays are read in blocks of this size, by as many threads as there are processors."""
SAMPLED_ROWS = 4096
SAMPLES = 32
"""How many samples of a dataset that is no array are looked at."""


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


def describe_dataset(dataset: Any) -> dict[str, Any]:
    """Return what tells a dataset from another one, without using up an iterator."""
    if is_loader(dataset):
        return describe_dataset(dataset.dataset)
    arrays = columns(dataset)
    if arrays is not None:
        return {"type": "arrays", "content": _describe_arrays(arrays)}
    described = {
        "type": type(dataset).__qualname__,
        "length": announced_length(dataset),
        "content": _describe_samples(dataset),
    }
    tensors = _tensors(dataset)
    return described if tensors is None else {**described, "tensors": _describe_arrays(tensors)}


def _tensors(dataset: Any) -> Any:
    """Return the arrays of a dataset that announces them as ``tensors``; its samples may be made of more than them."""
    tensors = getattr(dataset, "tensors", None)
    if not isinstance(tensors, tuple) or not tensors or not all(is_array(part) for part in tensors):
        return None
    rows = common_rows(tensors)
    return tensors if rows is not None and rows == announced_length(dataset) else None


def describe_keys(keys: Any) -> str | None:
    """Return what tells the keys of samples from other ones; None for none."""
    return None if keys is None else f"{len(keys)} {digest([('', keys)])}"


def _describe_arrays(arrays: Any) -> Any:
    if is_table(arrays) or hasattr(arrays, "tocsr"):
        arrays = _parts_of_table(arrays) if is_table(arrays) else _parts_of_sparse(arrays)
    if isinstance(arrays, Mapping):
        return {str(name): _describe_arrays(part) for name, part in arrays.items()}
    if isinstance(arrays, list | tuple):
        return {str(number): _describe_arrays(part) for number, part in enumerate(arrays)}
    described = f"{arrays.dtype}{list(arrays.shape)}"
    try:
        rows = arrays
        if len(arrays) and np.prod(arrays.shape) * np.dtype(np.asarray(arrays[:1]).dtype).itemsize > WHOLE_BYTES:
            described += f" sample of {SAMPLED_ROWS}"
            rows = np.stack([np.asarray(arrays[int(row)]) for row in _evenly(len(arrays), SAMPLED_ROWS)])
        return f"{described} {digest([('', _without_objects(np.asarray(rows)))])}"
    except Exception:  # noqa: BLE001  # arrays on a device, or of a dtype that NumPy does not have
        return f"{described} not read"


def _parts_of_table(table: Any) -> Any:
    """Return the columns of a data frame by name and position, or the values of a series."""
    if table.ndim == 1:
        return np.asarray(table)
    return {f"{column} {name}": np.asarray(table.iloc[:, column]) for column, name in enumerate(table.columns)}


def _parts_of_sparse(matrix: Any) -> dict[str, Any]:
    rowwise = matrix.tocsr()
    parts = {"values": rowwise.data, "columns": rowwise.indices, "ends": rowwise.indptr}
    return {"shape": np.asarray(matrix.shape), **parts}


def _without_objects(values: Any) -> Any:
    """Return an array of objects that are all texts, numbers or None as text; their bytes would be addresses."""
    simple = values.dtype == object and all(isinstance(part, str | int | float | None) for part in values.flat)
    return np.asarray([f"{type(part).__name__} {part}" for part in values.flat]) if simple else values


def _evenly(length: int, count: int) -> list[int]:
    """Return up to ``count`` positions from the first to the last."""
    return sorted({int(position) for position in np.linspace(0, length - 1, min(count, length))})


def _describe_samples(dataset: Any) -> str:
    length = announced_length(dataset)
    if not length or not hasattr(dataset, "__getitem__") or isinstance(dataset, Mapping):
        return "not read"
    try:
        first, second = (_digest_samples(dataset, length) for _ in range(2))
    except Exception:  # noqa: BLE001  # the run itself will report what is wrong, with its place
        return "not read"
    return f"{SAMPLES} samples {first}" if first == second else "random"


def _digest_samples(dataset: Any, length: int) -> str:
    whole = hashlib.sha256()
    for sample in fetch(dataset, _evenly(length, SAMPLES)):
        _update(whole, sample, set())
    return f"sha256:{whole.hexdigest()}"


def _update(whole: Any, value: Any, seen: set[int]) -> None:
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
            _update(whole, part, seen)


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
        _update(whole, model, set())
    except Exception:  # noqa: BLE001  # an object that cannot be looked into is known by its name only
        return ""
    return f"sha256:{whole.hexdigest()}"


def describe_function(function: Callable[..., Any] | None) -> dict[str, Any] | None:
    """Return the qualified name of a function and, if it is a plain one, the digest of its code.

    What a closure refers to is not looked at.
    """
    if function is None:
        return None
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    return {"name": name, "code": None if code is None else f"sha256:{_digest_code(code)}"}


def _digest_code(code: Any) -> str:
    whole = hashlib.sha256(code.co_code)
    whole.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        whole.update(_describe_constant(constant).encode())
    return whole.hexdigest()


def _describe_constant(constant: Any) -> str:
    if hasattr(constant, "co_code"):  # a function inside the function; its repr would hold an address
        return _digest_code(constant)
    # The order of a set of strings differs between processes.
    return repr(sorted(constant, key=repr) if isinstance(constant, frozenset) else constant)


def describe_model(source: Any) -> str | None:
    """Return the qualified name of a model, or the path by which it is imported; None for a file."""
    if isinstance(source, str):
        return source if ":" in source else None
    if hasattr(source, "__fspath__") or isinstance(source, tuple):
        return None
    return str(getattr(source, "__qualname__", type(source).__qualname__))
