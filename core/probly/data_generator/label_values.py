"""Labels, keys and class names, whatever they came as: text, bytes, numbers, and rows without one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[Any]

UNLABELLED = -1
"""What stands for "no label" among whole numbers."""
ROOM = 2**25
"""The bytes that text of a fixed width may take however short most of it is."""


def label_values(labels: Any) -> Labels:
    """Return labels as one array, without turning a number into text or losing one that is missing.

    Bytes are text, in UTF-8. Missing ones (None, NaN, pandas' NA) are None among text, NaN among floats and -1 among
    whole numbers. Text without missing ones has a fixed width, unless a few long ones would make that far larger than
    the text itself: then it stays objects. Halves of characters, as in file names that are not UTF-8, which no
    file of ours could keep, are written as JSON writes them.

    Args:
        labels: One per row: an array, or a list of anything.

    Examples:
        >>> label_values([b"cat", "horse"]), label_values([2, None]), label_values(["cat", None])
        (array(['cat', 'horse'], dtype='<U5'), array([ 2, -1]), array(['cat', None], dtype=object))
        >>> label_values(["cat", 1])
        array(['cat', 1], dtype=object)
    """
    if isinstance(labels, np.ndarray) and labels.dtype.kind not in "OST" and not _has_halves(labels):
        return labels
    if isinstance(labels, np.ndarray) and labels.ndim != 1:
        return labels if labels.dtype.kind == "O" else _decoded(labels)
    values = [_plain(label) for label in (labels.tolist() if isinstance(labels, np.ndarray) else labels)]
    kinds = {str if isinstance(value, str) else type(value) for value in values}
    if str in kinds:
        return _text(values)
    return _numbers(values, kinds) if kinds & {bool, int, float} else _others(values)


def _has_halves(labels: Labels) -> bool:
    if labels.dtype.kind != "U" or not labels.size:
        return False
    codes = np.ascontiguousarray(labels).view(np.dtype("u4").newbyteorder(labels.dtype.byteorder))
    return bool(((codes & 0xFFFFF800) == 0xD800).any())


def _text(values: list[Any]) -> Labels:
    given = [value for value in values if value is not None and value == value]  # noqa: PLR0124  # NaN
    if not all(isinstance(value, str) for value in given):
        return _objects(values)
    lengths = list(map(len, given))
    if len(given) < len(values) or 4 * len(values) * max(lengths) > ROOM + 16 * sum(lengths):
        return _objects([value if isinstance(value, str) else None for value in values])
    return np.asarray(values, dtype=np.str_)


def _numbers(values: list[Any], kinds: set[type]) -> Labels:
    if not kinds <= {bool, int, float, type(None)}:
        return _objects(values)
    missing = np.nan if float in kinds else UNLABELLED
    found = np.asarray([missing if value is None else value for value in values])
    return found if found.dtype.kind in "biuf" and (found.dtype.kind == "f") == (float in kinds) else _objects(values)


def _plain(label: Any) -> Any:
    if isinstance(label, bytes):
        return label.decode(errors="backslashreplace")
    if isinstance(label, str):
        return label if label.isascii() else label.encode(errors="backslashreplace").decode()
    if isinstance(label, np.generic):
        return _plain(label.item())
    if type(label).__name__ in ("NAType", "NaTType"):
        return None
    return label


def _decoded(labels: Labels) -> Labels:
    flat = np.asarray([_plain(label) for label in labels.ravel().tolist()], dtype=np.str_)
    return flat.reshape(labels.shape)


def _others(values: list[Any]) -> Labels:
    """Return what are arrays of one shape stacked, and anything else as objects, one per row."""
    if not values:
        return np.asarray(values)
    if all(isinstance(value, np.ndarray | list | tuple) for value in values):
        try:
            stacked = np.asarray(values)
        except ValueError:  # other lengths
            return _objects(values)
        if stacked.dtype.kind in "biuf":
            return stacked
    return _objects(values)


def _objects(values: Sequence[Any]) -> Labels:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def are_text(labels: Labels) -> bool:
    """Return whether labels are text, of a fixed width or with missing ones.

    Examples:
        >>> are_text(np.array(["a", None], object)), are_text(np.array(["a"])), are_text(np.array([1, "a"], object))
        (True, True, False)
    """
    if labels.dtype.kind == "O":
        return labels.ndim == 1 and all(label is None or isinstance(label, str) for label in labels)
    return labels.dtype.kind == "U"


def join_labels(parts: Sequence[Labels | int]) -> Labels | None:
    """Return the labels of consecutive batches as one array, or None where they do not fit together, or there are none.

    Args:
        parts: The labels of each batch, as ``label_values`` returns them; for one without labels, its number of rows.

    Examples:
        >>> join_labels([np.array([1, 2]), 1])
        array([ 1,  2, -1])
        >>> join_labels([np.array(["a"]), np.array(["b", None], object)])
        array(['a', 'b', None], dtype=object)
        >>> join_labels([np.array([1, 2]), np.array(["a"])]) is None
        True
    """
    given = [part for part in parts if not isinstance(part, int)]
    if not given or len({part.shape[1:] for part in given}) > 1:
        return None
    if len(given) == len(parts) and all(part.dtype.kind in "biuf" for part in given):
        return np.concatenate(given)
    if given[0].ndim > 1:
        return (
            None if len(given) < len(parts) or {part.dtype.kind for part in given} != {"U"} else np.concatenate(given)
        )
    # One long text of one batch would make all of them as wide.
    wide = sum(map(len, given)) * max(part.itemsize for part in given) > ROOM + 4 * sum(part.nbytes for part in given)
    if len(given) == len(parts) and all(part.dtype.kind == "U" for part in given) and not wide:
        return np.concatenate(given)
    values: list[Any] = []
    for part in parts:
        values += [None] * part if isinstance(part, int) else part.tolist()
    joined = label_values(values)
    return joined if joined.dtype.kind != "O" or are_text(joined) else None


def class_name(label: Any) -> str:
    """Return the name of a class as text; a whole number has the same one as an int and as a float.

    Examples:
        >>> class_name(3.0), class_name(2.5), class_name(b"cat"), class_name(np.int64(7))
        ('3', '2.5', 'cat', '7')
    """
    value = _plain(label)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def plain_classes(classes: Any) -> list[Any] | None:
    """Return the classes of a model in the order of its columns as plain values, or None where it has several outputs.

    Examples:
        >>> plain_classes(np.array([3.0, 7.0])), plain_classes(np.array([b"no", b"yes"])), plain_classes(None)
        ([3.0, 7.0], ['no', 'yes'], None)
        >>> plain_classes([np.array([0, 1]), np.array([0, 1])]) is None
        True
    """
    if classes is None or isinstance(classes, str) or not hasattr(classes, "__len__"):
        return None
    values = classes.tolist() if hasattr(classes, "tolist") else list(classes)
    if any(np.ndim(value) for value in values):
        return None
    return [_plain(value) for value in values]


def class_name_list(names: Sequence[Any] | None, num_classes: int) -> list[str] | None:
    """Return class names as strings.

    Raises:
        ValueError: There is not one per class.
    """
    if names is None or num_classes == 0:  # a run without rows has no classes to name
        return None
    if len(names) != num_classes:
        message = f"class_names: expected {num_classes} names, one per class, got {len(names)}"
        raise ValueError(message)
    return [class_name(name) for name in names]


def ordered_names(names: Sequence[Any] | Mapping[Any, Any] | None) -> Sequence[Any] | None:
    """Return class names if they have an order that means something; a dictionary by its keys 0, 1, 2, ...

    Raises:
        TypeError: They are a set, which has another order in every process, one text, or a dictionary with other keys.

    Examples:
        >>> ordered_names({1: "dog", 0: "cat"})
        ['cat', 'dog']
        >>> ordered_names(np.array([3, 7]))
        [3, 7]
    """
    if isinstance(names, Mapping):
        keys = {str(key): key for key in names}
        places = [str(place) for place in range(len(names))]
        if keys.keys() == set(places):
            return [names[keys[place]] for place in places]
        message = (
            f"class_names: expected a list, or a dictionary with the columns 0 to {len(names) - 1} as keys, got the "
            f"keys {list(names)[:5]}; of a dictionary from name to column, pass sorted(names, key=names.get)"
        )
        raise TypeError(message)
    if names is None or (not isinstance(names, str | bytes | set | frozenset) and hasattr(names, "__len__")):
        return names if names is None or isinstance(names, list | tuple) else plain_classes(names)
    message = f"class_names: expected a list of names in the order of the columns, got {names!r}"
    raise TypeError(message)


def names_in(meta: Mapping[str, Any], num_classes: int) -> list[str] | None:
    """Return the class names in metadata, which a file may have brought.

    Raises:
        ValueError: They do not name each column.
    """
    try:
        return class_name_list(ordered_names(meta.get("class_names")), num_classes)
    except (TypeError, ValueError) as error:
        message = f"meta: {error}; correct them, or leave them out"
        raise ValueError(message) from error


def classes_in(meta: Mapping[str, Any], num_classes: int) -> list[Any] | None:
    """Return what the labels of each column are, where metadata, which a file may have brought, have a list of them."""
    known = meta.get("classes")
    if not isinstance(known, list) or len(known) != num_classes:
        return None
    return list(known) if all(isinstance(one, str | int | float) for one in known) else None


def key_array(keys: Sequence[Any] | Labels) -> Labels:
    """Return the keys of samples, such as file names, as an array of shape ``(samples,)``; text as it is among labels.

    Raises:
        TypeError: They are neither all text nor all integers.

    Examples:
        >>> key_array(["n01440764_18.JPEG", "n01440764_36.JPEG"]).dtype
        dtype('<U17')
    """
    if not len(keys):
        return np.empty(0, keys.dtype if isinstance(keys, np.ndarray) and keys.dtype.kind in "iu" else np.str_)
    if isinstance(keys, np.ndarray) and keys.dtype.kind == "O":  # as this returns texts of which one is far longer
        keys = keys.tolist()
    # Of a list, NumPy would make text of everything, which map() tells without a loop of ours.
    kinds = {keys.dtype.kind} if isinstance(keys, np.ndarray) else set(map(_kind_of_key, map(type, keys)))
    text = kinds == {"U"}
    array = label_values(keys) if text else np.asarray(keys)
    if array.ndim != 1 or len(kinds) > 1 or not (text or array.dtype.kind in "iu"):
        message = f"keys: expected a list of text or of integers, one per sample, got {array.dtype}{list(array.shape)}"
        raise TypeError(message)
    return array


def _kind_of_key(kind: type) -> str:
    return "b" if issubclass(kind, bool | np.bool_) else "U" if issubclass(kind, str) else "i"
