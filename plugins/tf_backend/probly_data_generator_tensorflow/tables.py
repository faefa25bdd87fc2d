"""Tables for models with an input per column, which take a mapping from their names to tensors."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from probly.data_generator.toolkit.tables import array_of_column, column_names, column_of, is_table

Shapes = Mapping[str, tuple[int | None, ...]]


def known_columns(shapes: Shapes) -> list[str] | None:
    """Return the names of a model's inputs where each of several takes one number or text per sample.

    Args:
        shapes: The shape of one sample by input name.

    Examples:
        >>> known_columns({"age": (1,), "town": ()}), known_columns({"inputs": (1,)})
        (['age', 'town'], None)
    """
    single = len(shapes) > 1 and all(shape in ((), (1,)) for shape in shapes.values())
    return list(shapes) if single else None


def with_columns(dataset: Any, shapes: Shapes) -> Any:
    """Return a table, alone or with labels, as tensors by the names of a model's inputs; any other dataset as it is.

    Raises:
        ValueError: The table lacks a column, or holds one that no tensor can hold.
    """
    names = known_columns(shapes)
    pair = isinstance(dataset, tuple) and len(dataset) == 2
    table = dataset[0] if pair else dataset
    if names is None or not is_table(table) or not column_names(table):
        return dataset
    places = {name: place for place, name in enumerate(column_names(table))}
    missing = [name for name in names if name not in places]
    if missing:
        message = (
            f"the model takes the columns {', '.join(names)}, the table lacks {', '.join(missing)}; it has "
            f"{', '.join(map(str, places))}"
        )
        raise ValueError(message)
    tensors = {name: _tensor(name, column_of(table, places[name]), shapes[name]) for name in names}
    return (tensors, dataset[1]) if pair else tensors


def _tensor(name: str, column: Any, shape: tuple[int | None, ...]) -> Any:
    array = array_of_column(column)
    with tf.device("CPU:0"):  # batches go to the device one by one
        try:
            tensor = tf.constant(array.tolist() if array.dtype.kind in "OUT" else array)
        except (TypeError, ValueError) as error:
            message = f"column {name!r}: a tensor holds numbers or texts, without a gap among texts: {error}"
            raise ValueError(message) from error
        return tf.reshape(tensor, [-1, *shape])
