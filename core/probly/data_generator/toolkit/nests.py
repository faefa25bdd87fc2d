"""Nests of arrays: dicts, lists, tuples and namedtuples whose leaves have their rows on the first axis."""

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from probly.data_generator.toolkit.tables import array_of_column, is_column, is_table, take_table_rows


def is_array(value: Any) -> bool:
    """Return whether a value looks like an array of any framework with at least one axis."""
    if isinstance(value, np.ndarray):
        return value.ndim >= 1
    if is_table(value):
        return True
    return hasattr(value, "dtype") and hasattr(value, "__getitem__") and len(getattr(value, "shape", ())) >= 1


def map_leaves(function: Callable[[Any], Any], nest: Any) -> Any:
    """Return a nest of the same types with ``function`` applied to each leaf; the given one stays as it is.

    Examples:
        >>> map_leaves(lambda leaf: leaf + 1, {"a": [1, 2], "b": (3,)})
        {'a': [2, 3], 'b': (4,)}
    """
    if isinstance(nest, np.ndarray):  # by far the most common, and quicker to tell than a Mapping
        return function(nest)
    if isinstance(nest, Mapping):
        return _like_mapping(nest, {key: map_leaves(function, value) for key, value in nest.items()})
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(map_leaves(function, value) for value in nest))
    if isinstance(nest, list | tuple):
        return type(nest)(map_leaves(function, value) for value in nest)
    return function(nest)


def _like_mapping(original: Mapping[Any, Any], values: dict[Any, Any]) -> Mapping[Any, Any]:
    if type(original) is dict or not isinstance(original, MutableMapping):
        return values
    # A shallow copy keeps what a constructor cannot be given again, such as the factory of a defaultdict.
    changed = copy.copy(original)
    changed.update(values)
    return changed


def leaves(nest: Any) -> Iterator[Any]:
    """Yield the leaves of a nest in order."""
    if isinstance(nest, np.ndarray):  # see map_leaves
        yield nest
        return
    if isinstance(nest, Mapping):
        nest = nest.values()
    elif not isinstance(nest, list | tuple):
        yield nest
        return
    for value in nest:
        yield from leaves(value)


def common_rows(nest: Any) -> int | None:
    """Return the number of rows that all leaves share, or None if a leaf is no array or the numbers differ.

    Examples:
        >>> common_rows((np.zeros((5, 2)), np.zeros(5)))
        5
    """
    counts = {int(leaf.shape[0]) if is_array(leaf) else None for leaf in leaves(nest)}
    return counts.pop() if len(counts) == 1 else None


def columns(dataset: Any) -> Any:
    """Return a dataset that is given as arrays, with lists in a tuple made arrays, or None if it holds samples.

    A tuple is always (inputs, labels, ...), a list always a sequence of samples.

    Raises:
        TypeError: A tuple holds something else than arrays with the same number of rows.

    Examples:
        >>> columns((np.zeros((2, 3)), [0, 1]))[1]
        array([0, 1])
        >>> columns([("sample", 0)]) is None
        True
    """
    if not isinstance(dataset, tuple):
        if isinstance(dataset, Mapping):
            return dataset if common_rows(dataset) is not None else None
        if is_column(dataset):
            return array_of_column(dataset)
        return dataset if is_array(dataset) else None
    arrays = tuple(map(_array_of_part, dataset))
    if common_rows(arrays) is None:
        parts = [tuple(part.shape) if is_array(part) else type(part).__name__ for part in arrays]
        message = (
            "a tuple is read as (inputs, labels): expected arrays with the same number of rows, "
            f"got {parts}; pass a list for a sequence of samples"
        )
        raise TypeError(message)
    return arrays


def _array_of_part(part: Any) -> Any:
    if is_column(part):
        return array_of_column(part)
    return _array_of_list(part) if isinstance(part, list) else part


def _array_of_list(values: list[Any]) -> Any:
    try:
        return np.asarray(values)
    except ValueError:  # lists of different lengths
        return values


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
    shapes = [tuple(getattr(leaf, "shape", ())) for leaf in leaves(nest)]
    message = f"expected a batch whose arrays have the same number of rows, got a {type(nest).__name__} of {shapes}"
    raise TypeError(message)


def take_rows(nest: Any, rows: Any, total: int | None = None) -> Any:
    """Return the given rows (a slice or an integer array) of each leaf; a list of samples is cut as one.

    Args:
        nest: A nest of arrays, or a list of samples that do not stack.
        rows: Which.
        total: How many rows there are, which tells a list of samples from one of arrays.

    Examples:
        >>> take_rows([np.zeros((4, 1)), np.zeros((4, 2)), np.zeros((4, 3))], slice(0, 1), total=3)[0].shape
        (4, 1)
    """
    if isinstance(nest, list) and (common_rows(nest) is None or (total == len(nest) != common_rows(nest))):
        return nest[rows] if isinstance(rows, slice) else [nest[row] for row in rows]
    # A batch that is wanted whole need not be cut.
    if isinstance(rows, slice) and rows == slice(0, total):
        return nest
    return map_leaves(lambda leaf: take_table_rows(leaf, rows) if is_table(leaf) else leaf[rows], nest)


def collate(samples: Sequence[Any]) -> Any:
    """Stack samples to a batch: arrays and numbers to one array, tuples and mappings by their parts.

    Samples that do not stack (other shapes, other objects) come back as a list.

    Raises:
        ValueError: Samples of mappings or tuples do not all have the same parts.

    Examples:
        >>> collate([(np.zeros(3), 0), (np.ones(3), 1)])[1]
        array([0, 1])
        >>> collate([[1.0], [2.0, 3.0]])
        [[1.0], [2.0, 3.0]]
    """
    first = samples[0]
    if isinstance(first, Mapping):
        check_keys(samples)
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple):
        columns = [collate(column) for column in zip(*samples, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else tuple(columns)
    if type(first) in (int, float, bool) and len(set(map(type, samples))) == 1:
        numbers = np.asarray(samples)
        return list(samples) if numbers.dtype == object else numbers
    try:
        arrays = [np.asarray(sample) for sample in samples]
    except ValueError:  # NumPy's answer to lists of different lengths
        return list(samples)
    stacks = arrays[0].dtype != object and all(array.shape == arrays[0].shape for array in arrays)
    return np.stack(arrays) if stacks else list(samples)


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
        return collate(labels)
    except (TypeError, ValueError):
        return list(labels)
