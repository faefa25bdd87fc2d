"""What file formats share, strangers' ones included: metadata as JSON, labels, one error for damage, limits on sizes.

A reader that is built of these raises StoreError and nothing else for whatever a file holds:

    def read(path):
        content = path.read_bytes()
        with reading(path, struct.error):
            rows, labels, meta = parse(content)
            check_size(rows * classes * 4, len(content))  # before memory is taken
            return Distributions(rows, None, label_array(labels, room(len(content))), decode_meta(meta))
"""

import contextlib
import functools
import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import StoreError
from probly.data_generator.label_values import are_text, label_values

Array = npt.NDArray[Any]

EXPANSION = 250
"""How much larger than its file contents may be: Snappy, which our Parquet files use, shrinks at most 21-fold, and
booleans from bits 8-fold more, so ours always load."""
FREE_BYTES = 2**25
"""What the contents of any file may take besides."""


@contextlib.contextmanager
def reading(path: Path, *damage: type[Exception]) -> Iterator[None]:
    """Raise StoreError for whatever damaged content makes a reader raise.

    Args:
        path: The file, for the message.
        damage: The errors of a library besides ValueError, RuntimeError and OverflowError.

    Raises:
        StoreError: The block raised one of them; an error of the disk passes through.

    Examples:
        >>> with reading(Path("a")):
        ...     float("x")
        Traceback (most recent call last):
        ...
        probly.data_generator.errors.StoreError: a: not a file of distributions: could not convert string to float: 'x'
    """
    # JSON and Unicode errors, and those of Distributions, are ValueErrors; RecursionError is a RuntimeError.
    expected: tuple[type[Exception], ...] = (ValueError, RuntimeError, OverflowError, *damage)
    try:
        yield
    except expected as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk failed, not the content
        message = f"{path}: not a file of distributions: {error}"
        raise StoreError(message) from error


def room(file_bytes: int) -> int:
    """Return the most bytes that the contents of a file of this size may take in memory.

    Examples:
        >>> room(1000) - room(0)
        250000
    """
    return FREE_BYTES + EXPANSION * file_bytes


def check_size(needed: int, file_bytes: int) -> None:
    """Refuse contents that only a forged file can have, before any memory is taken for them.

    Args:
        needed: The bytes that the contents say they need.
        file_bytes: The size of the file.

    Raises:
        ValueError: They need more than ``EXPANSION`` times the size of their file.

    Examples:
        >>> check_size(needed=4_000_000, file_bytes=1_000)
        >>> check_size(needed=2**40, file_bytes=1_000)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: its 1000 bytes claim to hold 1099511627776, more than 250 times as much; ...
    """
    if needed > room(file_bytes):
        message = (
            f"its {file_bytes} bytes claim to hold {needed}, more than {EXPANSION} times as much; "
            "if that is true, write it again without compression"
        )
        raise ValueError(message)


def encode_meta(path: Path, meta: Mapping[str, Any]) -> bytes:
    """Return metadata as UTF-8 JSON that ``decode_meta`` reads; scalars and arrays of NumPy, and paths, are allowed.

    Args:
        path: The file, for the message.
        meta: The metadata.

    Raises:
        TypeError: It is not JSON-serialisable.
        ValueError: It holds NaN or infinity, or keys that JSON cannot tell apart, such as 1 and "1".

    Examples:
        >>> encode_meta(Path("a.txt"), {"accuracy": np.float32(0.5), "classes": np.arange(3)})
        b'{"accuracy": 0.5, "classes": [0, 1, 2]}'
    """
    try:
        text = json.dumps(dict(meta), ensure_ascii=False, allow_nan=False, default=_simple).encode()
        decode_meta(text)
    except (TypeError, ValueError) as error:
        error.add_note(
            f"{path}: meta must hold only strings, numbers, booleans, None, lists and dicts; nothing written"
        )
        raise
    return text


def _simple(value: Any) -> Any:
    """Return NumPy scalars and arrays, and paths, as what JSON knows."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    message = f"{value!r} is of type {type(value).__name__}"
    raise TypeError(message)


def decode_meta(text: bytes) -> dict[str, Any]:
    """Return metadata from JSON.

    Raises:
        ValueError: It is not JSON, or no object.

    Examples:
        >>> decode_meta(b'{"accuracy": 0.5}')
        {'accuracy': 0.5}
    """
    meta = decode_json(text)
    if not isinstance(meta, dict):
        message = f'expected an object as "meta", got {type(meta).__name__}'
        raise ValueError(message)  # noqa: TRY004  # a wrong file is a wrong value
    return meta


def decode_json(text: bytes) -> Any:
    """Parse JSON, refusing what the standard library lets pass: NaN, infinities and repeated keys.

    Raises:
        ValueError: It is no such JSON.

    Examples:
        >>> decode_json(b'{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
    """
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(repeated, _)] = Counter(name for name, _ in pairs).most_common(1)
        message = f"the key {repeated!r} stands twice"
        raise ValueError(message)
    return found


def _no_constant(name: str) -> None:
    message = f"expected finite numbers, got {name}"
    raise ValueError(message)


def label_array(labels: Sequence[Any], room: int) -> Array:
    """Return labels as an array without turning one type into another; None is a row without a label.

    Args:
        labels: One per row.
        room: The bytes that fixed-width text may take; where a few long ones would need more, it stays objects.

    Examples:
        >>> label_array(["cat", "horse"], 1000), label_array(["cat", 1], 1000), label_array(["cat", "horse"], 30)
        (array(['cat', 'horse'], dtype='<U5'), array(['cat', 1], dtype=object), array(['cat', 'horse'], dtype=object))
    """
    objects = np.asarray(labels, dtype=object)
    if objects.ndim > 1 and any(isinstance(label, str) for label in objects.flat):
        fits = all(isinstance(label, str) for label in objects.flat)
        return np.asarray(labels) if fits else objects
    return np.asarray(labels) if objects.ndim > 1 else label_values(labels, room)


def key_array(keys: Sequence[Any]) -> npt.NDArray[Any]:
    """Return the keys of samples, such as file names, as an array of shape ``(samples,)``.

    Raises:
        TypeError: They are neither all text nor all integers.

    Examples:
        >>> key_array(["n01440764_18.JPEG", "n01440764_36.JPEG"]).dtype
        dtype('<U17')
    """
    array = np.asarray(keys)
    # An array has one kind; of a list, NumPy would make text of everything, which map() tells without a loop of ours.
    kinds = {array.dtype.kind} if isinstance(keys, np.ndarray) else set(map(_kind_of_key, map(type, keys)))
    if array.ndim != 1 or array.dtype.kind not in "iuU" or len(kinds) > 1:
        message = f"keys: expected a list of text or of integers, one per sample, got {array.dtype}{list(array.shape)}"
        raise TypeError(message)
    return array


@functools.cache
def _kind_of_key(kind: type) -> str:
    return "b" if issubclass(kind, bool | np.bool_) else "U" if issubclass(kind, str) else "i"


def simple_labels(path: Path, labels: Array | None) -> Array | None:
    """Return labels as an array of numbers or text, in this machine's byte order.

    Text is of a fixed width, or objects where some rows have no label (None); ``split_missing`` takes those apart.

    Args:
        path: The file, for the message.
        labels: One per row, or None.

    Raises:
        TypeError: They are something else.

    Examples:
        >>> simple_labels(Path("a.txt"), np.array(["cat", "dog"], dtype=object))
        array(['cat', 'dog'], dtype='<U3')
    """
    if labels is None:
        return None
    labels = label_values(labels, sys.maxsize)
    long = labels.dtype.kind == "f" and labels.dtype.itemsize > 8
    if long or not (labels.dtype.kind in "biufU" or are_text(labels)):
        kinds = sorted({type(label).__name__ for label in labels.flat}) if labels.dtype.kind == "O" else [labels.dtype]
        message = (
            f"{path}: expected labels that are numbers or text, got {', '.join(map(str, kinds))}; nothing written. "
            "Leave them out with Distributions(d.probabilities, d.indices, meta=d.meta)"
        )
        raise TypeError(message)
    return labels.astype(labels.dtype.newbyteorder("="), copy=False)


def split_missing(labels: Array) -> tuple[Array, Array | None]:
    """Return labels for a format whose text has a fixed width and no None: with "" in its place, and who has one.

    Examples:
        >>> split_missing(np.array(["cat", None], object))
        (array(['cat', ''], dtype='<U3'), array([ True, False]))
        >>> split_missing(np.array([1, 2]))
        (array([1, 2]), None)
    """
    if labels.dtype.kind != "O":
        return labels, None
    labelled = np.asarray([label is not None for label in labels], dtype=bool)
    texts = np.asarray(["" if label is None else label for label in labels], dtype=np.str_)
    return texts, None if labelled.all() else labelled


def join_missing(labels: Array | None, labelled: Array | None) -> Array | None:
    """Return labels that ``split_missing`` took apart.

    Raises:
        ValueError: They do not belong together.

    Examples:
        >>> join_missing(np.array(["cat", ""]), np.array([True, False]))
        array(['cat', None], dtype=object)
    """
    if labelled is None:
        return labels
    if labels is None or labels.dtype.kind != "U" or labelled.dtype != np.bool_ or labelled.shape != labels.shape:
        message = "labelled: expected a truth value for each of the labels, which are text"
        raise ValueError(message)
    whole = labels.astype(object)
    whole[~labelled] = None
    return whole


def optional_library(module: str, extra: str) -> Any:
    """Import a library that only one format needs.

    Args:
        module: Its name.
        extra: The extra of the core that installs it.

    Raises:
        ImportError: It is not installed; the message names the extra that installs it.

    Examples:
        >>> optional_library("json", "fast-json").loads("1")
        1
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = (
            f"this format needs {module.partition('.')[0]}, which cannot be imported ({error}); "
            f'run: pip install "probly-data-generator[{extra}]"'
        )
        raise ImportError(message) from error
