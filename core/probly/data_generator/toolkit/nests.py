"""Nests of arrays: dicts, lists, tuples and namedtuples whose leaves have their rows on the first axis."""

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from probly.data_generator.label_values import label_values
from probly.data_generator.toolkit.tables import (
    array_of_column,
    is_column,
    is_table,
    refuse_another_order,
    take_table_rows,
)


class Samples(list[Any]):
    """One entry per row: the inputs of a batch that are no array, such as texts, or arrays of different shapes.

    A list of its own kind, because a plain one may as well hold a few arrays that have a row per sample each.
    """


def is_array(value: Any) -> bool:
    """Return whether a value looks like an array of any framework with at least one axis."""
    if is_table(value):
        return True
    return hasattr(value, "dtype") and hasattr(value, "__getitem__") and bool(shape_of(value))


def shape_of(value: Any) -> tuple[Any, ...] | None:
    """Return the shape of an array, or None where there is none to tell, as of rows of different lengths."""
    try:
        return tuple(value.shape)
    except Exception:  # noqa: BLE001  # a library's own error says that there is none
        return None


def moves_itself(value: Any) -> bool:
    """Return whether a tuple is one object of its framework, such as a packed sequence, which moves itself."""
    return hasattr(value, "_fields") and hasattr(value, "to")


def children(nest: Any) -> list[Any] | None:
    """Return the values of a mapping, a list or a tuple; None of a leaf, which holds no others."""
    if isinstance(nest, list | tuple):
        return None if moves_itself(nest) else list(nest)
    return list(nest.values()) if isinstance(nest, Mapping) else None


def _with_children(nest: Any, values: Sequence[Any]) -> Any:
    if not isinstance(nest, Mapping):
        return type(nest)(*values) if hasattr(nest, "_fields") else type(nest)(values)
    named = dict(zip(nest, values, strict=True))
    if type(nest) is dict or not isinstance(nest, MutableMapping):
        return named
    # A shallow copy keeps what a constructor cannot be given again, such as the factory of a defaultdict.
    changed = copy.copy(nest)
    changed.update(named)
    return changed


def map_leaves(function: Callable[[Any], Any], nest: Any) -> Any:
    """Return a nest of the same types with ``function`` applied to each leaf; the given one stays as it is.

    Examples:
        >>> map_leaves(lambda leaf: leaf + 1, {"a": [1, 2], "b": (3,)})
        {'a': [2, 3], 'b': (4,)}
    """
    held = children(nest)
    return function(nest) if held is None else _with_children(nest, [map_leaves(function, part) for part in held])


def leaves(nest: Any) -> Iterator[Any]:
    """Yield the leaves of a nest in order."""
    held = children(nest)
    if held is None:
        yield nest
    for part in held or ():
        yield from leaves(part)


def holds_samples(nest: Any) -> bool:
    """Return whether a nest is or has a list of samples that do not stack, whose leaves are no columns."""
    return isinstance(nest, Samples) or any(map(holds_samples, children(nest) or ()))


def as_lists(nest: Any) -> Any:
    """Return a nest with plain lists in place of ``Samples``, for models that ask for the very type.

    Examples:
        >>> type(as_lists(Samples(["a", "b"])))
        <class 'list'>
    """
    held = children(nest)
    if isinstance(nest, Samples) or held is None:
        return nest if held is None else held
    return _with_children(nest, [as_lists(part) for part in held])


def common_rows(nest: Any) -> int | None:
    """Return the number of rows that all leaves share, or None if a leaf is no array or the numbers differ.

    Examples:
        >>> common_rows((np.zeros((5, 2)), np.zeros(5)))
        5
    """
    counts = _row_counts(nest)
    return counts.pop() if len(counts) == 1 else None


def _row_counts(nest: Any) -> set[int | None]:
    if isinstance(nest, Samples):
        return {len(nest)}
    held = children(nest)
    if held is not None:
        return set().union(*map(_row_counts, held))
    rows = (shape_of(nest) or (None,))[0] if is_array(nest) else None
    return {None if rows is None else int(rows)}


def count_rows(nest: Any) -> int:
    """Return the number of rows in a batch: that of its arrays, else the length of the list of samples.

    Raises:
        TypeError: It is neither.
    """
    rows = common_rows(nest)
    if rows is not None:
        return rows
    if isinstance(nest, Sequence) and not isinstance(nest, str | bytes | tuple):
        return len(nest)
    shapes = [shape_of(leaf) or () for leaf in leaves(nest)]
    message = f"expected a batch whose arrays have the same number of rows, got a {type(nest).__name__} of {shapes}"
    raise TypeError(message)


def columns(dataset: Any) -> Any:
    """Return a dataset that is given as columns, with lists among them made arrays, or None if it holds samples.

    A tuple is always (inputs, labels), a mapping has a column per name, a list is always a sequence of samples. Lists
    in them that are no arrays of numbers (texts, lists of different lengths) become ``Samples``.

    Raises:
        TypeError: A tuple holds something else than columns, or their numbers of rows differ.
        AlignmentError: Tables in it have the same index in another order.

    Examples:
        >>> columns((np.zeros((2, 3)), [0, 1]))[1]
        array([0, 1])
        >>> columns({"text": ["a", "a longer one"], "size": [1, 12]})["text"]
        ['a', 'a longer one']
        >>> columns([("sample", 0)]) is None
        True
    """
    if not isinstance(dataset, Mapping | tuple):
        if is_column(dataset):
            return array_of_column(dataset)
        return dataset if is_array(dataset) else None
    given = list(dataset.values() if isinstance(dataset, Mapping) else dataset)
    refuse_another_order(given)
    parts = [_column(part) for part in given]
    rows = [common_rows(part) for part in parts]
    if None not in rows and len(set(rows)) == 1:
        return _with_children(dataset, parts)
    if isinstance(dataset, tuple):
        message = (
            "a tuple is read as (inputs, labels): expected arrays with the same number of rows, "
            f"got {[_described(part) for part in parts]}; pass a list for a sequence of samples"
        )
        raise TypeError(message)
    if None in rows or not rows:
        return None
    counts = dict(zip(dataset, rows, strict=True))
    message = f"a mapping is read as columns: expected the same number of rows in each, got {counts}"
    raise TypeError(message)


def _column(part: Any) -> Any:
    """Return a part of a dataset as a column, if it is one; text becomes no array, nor what lies beside it text."""
    if is_column(part):
        return array_of_column(part)
    if type(part) is not list:
        return part
    first: Any = part
    while isinstance(first, list | tuple) and first:
        first = first[0]
    text = isinstance(first, str | bytes)
    if text and first is part[0]:  # an array would take the memory of the longest for each
        return Samples(part)
    try:
        array = np.array(part, object if text else None)
        array = np.array(part, object) if array.dtype.kind in "US" else array
    except ValueError:  # lists of different lengths
        return Samples(part)
    return array if array.dtype.kind != "O" or array.ndim > 1 else Samples(part)


def _described(part: Any) -> Any:
    if isinstance(part, Samples):
        return f"list of {len(part)}"
    return shape_of(part) if is_array(part) else type(part).__name__


def take_rows(nest: Any, rows: Any, total: int | None = None) -> Any:
    """Return the given rows (a slice or an integer array) of each leaf; a list of samples is cut as one.

    Args:
        nest: A nest of arrays, or a list of samples that do not stack.
        rows: Which.
        total: How many rows there are, which tells a list of samples from one of arrays.

    Raises:
        TypeError: The leaves do not have ``total`` rows.

    Examples:
        >>> take_rows([np.zeros((4, 1)), np.zeros((4, 2)), np.zeros((4, 3))], slice(0, 1), total=3)[0].shape
        (4, 1)
    """
    if isinstance(rows, slice) and rows == slice(0, total):  # the whole, which need not be one that can be cut
        return nest
    found = common_rows(nest)
    if isinstance(nest, list) and (found is None or total == len(nest) != found):
        nest, found = Samples(nest), len(nest)
    if total not in (None, found):
        message = (
            f"the inputs of these {total} rows have no common first axis, so that the batch cannot be cut; "
            "choose a smaller batch_size"
        )
        raise TypeError(message)
    return _taken(nest, rows)


def _taken(nest: Any, rows: Any) -> Any:
    if isinstance(nest, Samples):
        chosen = np.arange(len(nest))[rows]
        return nest[chosen] if np.ndim(chosen) == 0 else Samples(nest[place] for place in chosen)
    held = children(nest)
    if held is not None:
        return _with_children(nest, [_taken(part, rows) for part in held])
    if is_table(nest):
        return take_table_rows(nest, rows)
    try:
        return nest[rows]
    except TypeError:
        if isinstance(rows, slice):
            raise
        return np.asarray(nest)[rows]  # some libraries take slices in their brackets, but no positions


def collate(samples: Sequence[Any]) -> Any:
    """Stack samples to a batch: arrays and numbers to one array, tuples and mappings by their parts.

    Samples that do not stack (texts and lists of them, other shapes, other objects) come back as a list, a ``Samples``.

    Raises:
        ValueError: Samples of mappings or tuples do not all have the same parts.

    Examples:
        >>> collate([(np.zeros(3), 0), (np.ones(3), 1)])[1]
        array([0, 1])
        >>> collate([[1.0], [2.0, 3.0]]), collate([["a", "b"], ["c", "d"]])
        ([[1.0], [2.0, 3.0]], [['a', 'b'], ['c', 'd']])
    """
    first = samples[0]
    if isinstance(first, Mapping):
        check_keys(samples)
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple):
        parts = [collate(part) for part in zip(*samples, strict=True)]
        return _with_children(first, parts)
    if isinstance(first, str | bytes):
        return Samples(samples)
    if type(first) in (int, float, bool) and len(set(map(type, samples))) == 1:  # labels, most of the time
        numbers = np.asarray(samples)
        return Samples(samples) if numbers.dtype == object else numbers
    try:
        arrays = [np.asarray(sample) for sample in samples]
    except ValueError:  # NumPy's answer to lists of different lengths
        return Samples(samples)
    same = all(array.dtype != object and array.shape == arrays[0].shape for array in arrays)
    # Every text of an array takes as much memory as the longest.
    stacks = same and (is_array(first) or not any(array.dtype.kind in "US" for array in arrays))
    return np.stack(arrays) if stacks else Samples(samples)


def check_keys(samples: Sequence[Any]) -> None:
    """Refuse mappings, in mappings too, with other keys than the first: stacking by its keys would drop theirs.

    Raises:
        ValueError: There is one.

    Examples:
        >>> check_keys([{"pixels": 1}, {"pixels": 2}])
    """
    first = samples[0]
    if not isinstance(first, Mapping):
        return
    for sample in samples:
        if not isinstance(sample, Mapping) or sample.keys() != first.keys():
            got = f"the keys {list(sample)}" if isinstance(sample, Mapping) else type(sample).__name__
            message = f"expected samples with the keys {list(first)}, got {got}; pick common ones in input_getter"
            raise ValueError(message)
    for key in first:
        check_keys([sample[key] for sample in samples])


def collate_labels(labels: Sequence[Any]) -> Any:
    """Stack labels as ``collate`` does; a run does not end for those whose parts differ, which come back as a list.

    Examples:
        >>> collate_labels([{"box": 1}, None])
        [{'box': 1}, None]
    """
    try:
        if len(set(map(type, labels))) > 1:  # numbers of any library, and some that are missing
            labels = [np.asarray(label).item() if shape_of(label) == () else label for label in labels]
        kinds = set(map(type, labels))
        simple = kinds <= {bool, int, float, str, bytes, type(None), np.str_, np.bytes_}
        if simple and (len(kinds) > 1 or kinds & {str, bytes, np.str_, np.bytes_}):
            return label_values(labels)  # NumPy would make text of numbers, and of NaN
        return collate(labels)
    except (TypeError, ValueError):
        return list(labels)
