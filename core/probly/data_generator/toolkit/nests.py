"""Nests of arrays: dicts, lists, tuples and namedtuples whose leaves have their rows on the first axis."""

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from probly.data_generator.label_values import label_values
from probly.data_generator.toolkit.tables import array_of_column, is_column, is_table, take_table_rows

SCALARS = (bool, int, float, str, bytes, type(None))


class Samples(list[Any]):
    """One entry per row: the inputs of a batch that are no array, such as texts, or arrays of different shapes.

    A list of its own kind, because a plain one may as well hold a few arrays that have a row per sample each.
    """


def is_array(value: Any) -> bool:
    """Return whether a value looks like an array of any framework with at least one axis."""
    if isinstance(value, np.ndarray):
        return value.ndim >= 1
    if is_table(value):
        return True
    return hasattr(value, "dtype") and hasattr(value, "__getitem__") and bool(shape_of(value))


def shape_of(value: Any) -> tuple[Any, ...] | None:
    """Return the shape of an array, or None where there is none to tell, as of rows of different lengths."""
    try:
        return tuple(value.shape)
    except Exception:  # noqa: BLE001  # a library's own error says that there is none
        return None


def _is_whole(value: tuple[Any, ...]) -> bool:
    """Return whether a tuple is one object of a framework, such as a packed sequence, which moves itself."""
    return hasattr(value, "_fields") and hasattr(value, "to")


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
        if _is_whole(nest):
            return function(nest)
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
    elif not isinstance(nest, list | tuple) or (isinstance(nest, tuple) and _is_whole(nest)):
        yield nest
        return
    for value in nest:
        yield from leaves(value)


def holds_samples(nest: Any) -> bool:
    """Return whether a nest is or has a list of samples that do not stack, whose leaves are no columns."""
    values = nest.values() if isinstance(nest, Mapping) else nest if isinstance(nest, list | tuple) else ()
    return isinstance(nest, Samples) or any(map(holds_samples, values))


def as_lists(nest: Any) -> Any:
    """Return a nest with plain lists in place of ``Samples``, for models that ask for the very type.

    Examples:
        >>> type(as_lists(Samples(["a", "b"])))
        <class 'list'>
    """
    if isinstance(nest, Samples):
        return list(nest)
    if isinstance(nest, Mapping):
        return _like_mapping(nest, {key: as_lists(value) for key, value in nest.items()})
    if type(nest) in (list, tuple):
        return type(nest)(as_lists(value) for value in nest)
    return nest


def common_rows(nest: Any) -> int | None:
    """Return the number of rows that all leaves share, or None if a leaf is no array or the numbers differ.

    Examples:
        >>> common_rows((np.zeros((5, 2)), np.zeros(5)))
        5
    """
    counts = set(_counts(nest))
    return counts.pop() if len(counts) == 1 else None


def _counts(nest: Any) -> Iterator[int | None]:
    if isinstance(nest, Samples):
        yield len(nest)
    elif isinstance(nest, Mapping):
        for value in nest.values():
            yield from _counts(value)
    elif isinstance(nest, list | tuple) and not (isinstance(nest, tuple) and _is_whole(nest)):
        for value in nest:
            yield from _counts(value)
    else:
        rows = (shape_of(nest) or (None,))[0] if is_array(nest) else None
        yield None if rows is None else int(rows)


def columns(dataset: Any) -> Any:
    """Return a dataset that is given as columns, with lists among them made arrays, or None if it holds samples.

    A tuple is always (inputs, labels), a mapping has a column per name, a list is always a sequence of samples. Lists
    in them that are no arrays of numbers (texts, lists of different lengths) become ``Samples``.

    Raises:
        TypeError: A tuple holds something else than columns, or their numbers of rows differ.

    Examples:
        >>> columns((np.zeros((2, 3)), [0, 1]))[1]
        array([0, 1])
        >>> columns({"text": ["a", "a longer one"], "size": [1, 12]})["text"]
        ['a', 'a longer one']
        >>> columns([("sample", 0)]) is None
        True
    """
    if isinstance(dataset, Mapping):
        return _named_columns(dataset)
    if not isinstance(dataset, tuple):
        if is_column(dataset):
            return array_of_column(dataset)
        return dataset if is_array(dataset) else None
    arrays = tuple(map(_column_of_part, dataset))
    if common_rows(arrays) is None:
        message = (
            "a tuple is read as (inputs, labels): expected arrays with the same number of rows, "
            f"got {list(map(_described, arrays))}; pass a list for a sequence of samples"
        )
        raise TypeError(message)
    return arrays


def _named_columns(dataset: Mapping[Any, Any]) -> Mapping[Any, Any] | None:
    found = {name: _column_of_part(part) for name, part in dataset.items()}
    rows = {name: common_rows(part) for name, part in found.items()}
    if not rows or None in rows.values():
        return None
    if len(set(rows.values())) > 1:
        message = f"a mapping is read as columns: expected the same number of rows in each, got {rows}"
        raise TypeError(message)
    return _like_mapping(dataset, found)


def _described(part: Any) -> Any:
    if isinstance(part, Samples):
        return f"list of {len(part)}"
    return shape_of(part) if is_array(part) else type(part).__name__


def _column_of_part(part: Any) -> Any:
    if is_column(part):
        return array_of_column(part)
    if type(part) is not list:
        return part
    if part and isinstance(part[0], str | bytes):  # an array would take the memory of the longest for each
        return Samples(part)
    try:
        # Text in lists stays objects for the same reason, and numbers beside it stay numbers.
        array = np.array(part, object if _begins_with_text(part) else None)
        array = np.array(part, object) if array.dtype.kind in "US" else array
    except ValueError:  # lists of different lengths
        return Samples(part)
    return array if array.dtype.kind != "O" or array.ndim > 1 else Samples(part)


def _begins_with_text(values: Any) -> bool:
    while isinstance(values, list | tuple) and values:
        values = values[0]
    return isinstance(values, str | bytes)


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
    # A batch that is wanted whole need not be cut.
    if isinstance(rows, slice) and rows == slice(0, total):
        return nest
    found = None if total is None or isinstance(nest, Samples) else common_rows(nest)
    if isinstance(nest, list) and (common_rows(nest) is None or (total == len(nest) != found)):
        return _taken(Samples(nest), rows)
    if total not in (None, found) and not isinstance(nest, Samples):
        message = (
            f"the inputs of these {total} rows have no common first axis, so that the batch cannot be cut; "
            "choose a smaller batch_size"
        )
        raise TypeError(message)
    return _taken(nest, rows)


def _taken(nest: Any, rows: Any) -> Any:
    if isinstance(nest, Samples):
        if isinstance(rows, slice):
            return Samples(nest[rows])
        return nest[rows] if np.ndim(rows) == 0 else Samples(nest[row] for row in rows)
    if isinstance(nest, Mapping):
        return _like_mapping(nest, {key: _taken(value, rows) for key, value in nest.items()})
    if isinstance(nest, list | tuple):
        parts = [_taken(value, rows) for value in nest]
        return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)
    return take_table_rows(nest, rows) if is_table(nest) else nest[rows]


def collate(samples: Sequence[Any]) -> Any:
    """Stack samples to a batch: arrays and numbers to one array, tuples and mappings by their parts.

    Samples that do not stack (texts, other shapes, other objects) come back as a list, a ``Samples``.

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
        return Samples(samples) if numbers.dtype == object else numbers
    if isinstance(first, str | bytes):
        return Samples(samples)
    try:
        arrays = [np.asarray(sample) for sample in samples]
    except ValueError:  # NumPy's answer to lists of different lengths
        return Samples(samples)
    stacks = arrays[0].dtype != object and all(array.shape == arrays[0].shape for array in arrays)
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
    kinds = set(map(type, labels))
    simple = all(kind in SCALARS or issubclass(kind, np.generic) for kind in kinds)
    if simple and (len(kinds) > 1 or kinds & {str, bytes, np.str_, np.bytes_}):
        return label_values(labels)  # NumPy would make text of numbers, and of NaN
    try:
        return collate(labels)
    except (TypeError, ValueError):
        return list(labels)
