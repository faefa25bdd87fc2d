"""What file formats share, strangers' ones included: metadata as JSON, labels, one error for damage, limits on sizes.

A reader that is built of these raises StoreError and nothing else for whatever a file holds:

    def read(path):
        content = path.read_bytes()
        with reading(path, struct.error):
            rows, labels, meta = parse(content)
            check_size(rows * classes * 4, len(content))  # before memory is taken
            return compared(rows, None, label_array(labels), decode_meta(meta))  # see formats.digest
"""

import contextlib
import importlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import StoreError
from probly.data_generator.installing import install_advice
from probly.data_generator.label_values import are_text, label_values
from probly.data_generator.toolkit.places import Place

Array = npt.NDArray[Any]

EXPANSION = 250
"""How much larger than its file contents may be: Snappy, which our Parquet files use, shrinks at most 21-fold, and
booleans from bits 8-fold more, so ours always load."""
FREE_BYTES = 2**25
"""What the contents of any file may take besides."""
MOST_META = 8 << 20
"""The bytes of metadata: a name of 30 for each of 250,000 classes. In memory, JSON may take 30 times as much."""


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
    if needed > FREE_BYTES + EXPANSION * file_bytes:
        message = (
            f"its {file_bytes} bytes claim to hold {needed}, more than {EXPANSION} times as much; "
            "if that is true, write it again without compression"
        )
        raise ValueError(message)


def encode_meta(path: Place, meta: Mapping[str, Any]) -> bytes:
    """Return metadata as UTF-8 JSON that ``decode_meta`` reads; scalars and arrays of NumPy, and paths, are allowed.

    Args:
        path: The file, for the message.
        meta: The metadata.

    Raises:
        TypeError: It is not JSON-serialisable.
        ValueError: It holds NaN or infinity, or keys that JSON cannot tell apart, such as 1 and "1", or is too large.

    Examples:
        >>> encode_meta(Path("a.txt"), {"accuracy": np.float32(0.5), "classes": np.arange(3)})
        b'{"accuracy": 0.5, "classes": [0, 1, 2]}'
    """
    try:
        text = json.dumps(dict(meta), ensure_ascii=False, allow_nan=False, default=_simple)
        if any("\ud800" <= letter <= "\udfff" for letter in text):  # halves of characters have no UTF-8
            text = json.dumps(dict(meta), allow_nan=False, default=_simple)
        decode_meta(text.encode())
    except (TypeError, ValueError) as error:
        error.add_note(
            f"{path}: meta must hold only strings, numbers, booleans, None, lists and dicts; nothing written"
        )
        raise
    return text.encode()


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
    if len(text) > MOST_META:
        message = f"expected at most {MOST_META} bytes of metadata, got {len(text)}"
        raise ValueError(message)
    return checked_meta(decode_json(text))


def checked_meta(meta: Any) -> dict[str, Any]:
    """Return metadata that are a part of a JSON document, after a check.

    Raises:
        ValueError: They are no object, or hold a number beyond all floats, such as 1e999.
    """
    if not isinstance(meta, dict):
        message = f'expected an object as "meta", got {type(meta).__name__}'
        raise ValueError(message)  # noqa: TRY004  # a wrong file is a wrong value
    json.dumps(meta, allow_nan=False)
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


def label_array(labels: Sequence[Any]) -> Array:
    """Return labels as an array without turning one type into another; None is a row without a label.

    Args:
        labels: One per row.

    Examples:
        >>> label_array(["cat", "horse"]), label_array(["cat", 1]), label_array([["a", "b"], ["c", "d"]]).shape
        (array(['cat', 'horse'], dtype='<U5'), array(['cat', 1], dtype=object), (2, 2))
    """
    objects = np.asarray(labels, dtype=object)
    if objects.ndim == 1:
        return label_values(labels)
    flat = objects.ravel()
    if any(isinstance(label, str) for label in flat):
        texts = label_values(flat)
        return texts.reshape(objects.shape) if texts.dtype.kind == "U" else objects
    return np.asarray(labels)


def simple_labels(path: Path, labels: Array | None) -> Array | None:
    """Return labels as an array of numbers or text, in this machine's byte order.

    Text is of a fixed width, or objects where that would be far larger, or some rows have no label (None).

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
    labels = label_values(labels)
    long = labels.dtype.kind == "f" and labels.dtype.itemsize > 8
    if long or not (labels.dtype.kind in "biufU" or are_text(labels)):
        kinds = sorted({type(label).__name__ for label in labels.flat}) if labels.dtype.kind == "O" else [labels.dtype]
        message = (
            f"{path}: expected labels that are numbers or text, got {', '.join(map(str, kinds))}; nothing written. "
            "Leave them out with Distributions(d.probabilities, d.indices, meta=d.meta, sample_keys=d.sample_keys)"
        )
        raise TypeError(message)
    return labels.astype(labels.dtype.newbyteorder("="), copy=False)


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
            f"{install_advice(f'probly-data-generator[{extra}]')}"
        )
        raise ImportError(message) from error
