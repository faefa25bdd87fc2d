"""What stands beside the rows, labels and keys, as tensors: numbers as they are, text as bytes.

Text of a fixed width is the bytes of NumPy's, with its dtype among the metadata. Where a few long texts would make that
far larger than the text itself, it is UTF-8, one after the other, with a tensor ``..._ends`` that says where each ends.
A tensor ``labelled`` says which rows have a label where the labels are text and some rows have none.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.label_values import are_text, label_values

Array = npt.NDArray[Any]

NAMES = ("labels", "sample_keys")
LABELLED = "labelled"
ENDS = "_ends"
DTYPE = "_dtype"
TEXT = re.compile(r"[<|][US][1-9][0-9]{0,6}")
NUMBERS = "biuf"
MOST_BYTES = 8
"""Of a number; the format knows no longer ones."""


def packed(name: str, values: Array) -> tuple[dict[str, Array], dict[str, str]] | None:
    """Return a column as tensors and as entries of the metadata; None for what no tensor can hold.

    Examples:
        >>> packed("labels", np.array(["cat", "dog"]))[1]
        {'labels_dtype': '<U3'}
        >>> list(packed("labels", np.array(["cat", None], object))[0])
        ['labels', 'labelled']
    """
    if values.dtype.kind in NUMBERS and values.dtype.itemsize <= MOST_BYTES:
        return {name: np.ascontiguousarray(values, values.dtype.newbyteorder("<"))}, {}
    if values.ndim != 1 or not are_text(values):
        return None
    texts, labelled = split_missing(values)
    missing = {} if labelled is None else {LABELLED: labelled}
    if texts.dtype.kind == "O":
        return {name: _utf8(texts), name + ENDS: _ends(texts), **missing}, {}
    texts = np.ascontiguousarray(texts, texts.dtype.newbyteorder("<"))
    if not texts.dtype.itemsize:
        return None
    letters = texts.view(np.uint8).reshape(len(texts), texts.dtype.itemsize)
    return {name: letters, **missing}, {name + DTYPE: texts.dtype.str}


def packed_labels(path: Path, labels: Array | None) -> tuple[dict[str, Array], dict[str, str]]:
    """Return labels as ``packed`` does; nothing of None.

    Raises:
        TypeError: No tensor can hold them.
    """
    found = ({}, {}) if labels is None else packed("labels", labels)
    if found is None:
        assert labels is not None
        message = (
            f"{path}: labels of the dtype {labels.dtype} and the shape {list(labels.shape)} fit no tensor; nothing "
            "written. Choose .npz, .parquet or .json, or leave the labels out"
        )
        raise TypeError(message)
    return found


def arrays_of(name: str, values: Array) -> dict[str, Array]:
    """Return labels or keys as the arrays of a format that has a dtype for text of a fixed width."""
    texts, labelled = split_missing(values)
    arrays = {name: texts} if texts.dtype.kind != "O" else {name: _utf8(texts), name + ENDS: _ends(texts)}
    return arrays if labelled is None else {**arrays, LABELLED: labelled}


def _utf8(texts: Array) -> Array:
    return np.frombuffer("".join(texts).encode(), np.uint8)


def _ends(texts: Array) -> Array:
    return np.cumsum([len(text.encode()) for text in texts], dtype=np.int64)


def unpacked(name: str, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> Array | None:
    """Return a column that ``check`` has found to be right, or None where there is none."""
    values, ends, text = tensors.get(name), tensors.get(name + ENDS), metadata.get(name + DTYPE)
    if values is None:
        return None
    if ends is not None:
        values = texts_of(values, ends)
    elif text is not None:
        values = np.frombuffer(np.ascontiguousarray(values), dtype=text)
    return join_missing(values, tensors.get(LABELLED)) if name == "labels" else values


def texts_of(utf8: Array, ends: Array) -> Array:
    """Return the texts that stand one after the other in UTF-8."""
    whole, found = utf8.tobytes(), np.empty(len(ends), dtype=object)
    start = 0
    for place, end in enumerate(ends.tolist()):
        found[place], start = whole[start:end].decode(), end
    return found


def check(tensors: Mapping[str, Array], metadata: Mapping[str, str], rows: int) -> None:
    """Check the columns of a file.

    Raises:
        ValueError: They do not have one entry per row, or are no text where they claim to be.
    """
    for name in NAMES:
        values, ends, text = tensors.get(name), tensors.get(name + ENDS), metadata.get(name + DTYPE)
        counted = values if ends is None else ends
        if counted is not None and (counted.ndim == 0 or len(counted) != rows):
            message = f"tensor {name!r}: expected {rows} rows, got the shape {counted.shape}"
            raise ValueError(message)
        if ends is not None:
            check_ends(values, ends)
        elif text is not None and (values is None or not TEXT.fullmatch(text) or not _holds_text(values, text)):
            message = f"tensor {name!r}: expected text of the dtype {text[:20]!r}"
            raise ValueError(message)
    labelled = tensors.get(LABELLED)
    are_texts = "labels" + ENDS in tensors or "labels" + DTYPE in metadata
    if labelled is not None and (labelled.dtype != np.bool_ or labelled.shape != (rows,) or not are_texts):
        message = f"tensor {LABELLED!r}: expected bool[{rows}] beside labels that are text"
        raise ValueError(message)


def check_ends(utf8: Array | None, ends: Array) -> None:
    """Check text of any length.

    Raises:
        ValueError: It is no UTF-8, or does not end where it should.
    """
    if utf8 is None or utf8.dtype != np.uint8 or utf8.ndim != 1 or ends.dtype != np.int64 or ends.ndim != 1:
        message = "text: expected bytes and where each text ends"
        raise ValueError(message)
    edges = np.concatenate([[0], ends])
    if edges[-1] != len(utf8) or (np.diff(edges) < 0).any():
        message = f"text: expected ends that ascend to {len(utf8)}"
        raise ValueError(message)
    texts_of(utf8, ends)  # raises where a character is cut


def _holds_text(values: Array, text: str) -> bool:
    if values.dtype != np.uint8 or values.shape[1:] != (np.dtype(text).itemsize,):
        return False
    # NumPy decodes UTF-32 only when an element is looked at, and then raises.
    return text[1] == "S" or not values.size or int(np.ascontiguousarray(values).view("<u4").max()) < 0x110000


def split_missing(labels: Array) -> tuple[Array, Array | None]:
    """Return labels for what holds no None: with "" in its place, and who has one.

    Examples:
        >>> split_missing(np.array(["cat", None], object))
        (array(['cat', ''], dtype='<U3'), array([ True, False]))
        >>> split_missing(np.array([1, 2]))
        (array([1, 2]), None)
    """
    if labels.dtype.kind != "O":
        return labels, None
    labelled = np.asarray([label is not None for label in labels], dtype=bool)
    texts = label_values(["" if label is None else label for label in labels])
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
    if labels is None or not are_text(labels) or labelled.dtype != np.bool_ or labelled.shape != labels.shape:
        message = "labelled: expected a truth value for each of the labels, which are text"
        raise ValueError(message)
    whole = labels.astype(object)
    whole[~labelled] = None
    return whole
