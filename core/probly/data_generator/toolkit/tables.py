"""Tables of any library, told by what they can do: pandas' frames and series, tables of Arrow, Polars and their kind.

No library of tables is imported: those of Arrow's kind export themselves by ``__arrow_c_stream__``,
``__arrow_c_array__`` or ``__dataframe__``, and cut rows with ``slice``. Their own ``[...]`` takes columns or rows, each
library as it likes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from probly.data_generator.errors import AlignmentError


def is_table(value: Any) -> bool:
    """Return whether a value is a data frame, a series or a table, whose own ``[...]`` looks up names."""
    if hasattr(value, "iloc"):
        return hasattr(value, "shape")
    exports = _is_of_arrow(value) or hasattr(value, "__dataframe__")
    return exports and hasattr(value, "slice") and len(getattr(value, "shape", ())) == 2


def is_column(value: Any) -> bool:
    """Return whether a value is one column of Arrow's kind, such as its arrays and Polars' series."""
    return _is_of_arrow(value) and hasattr(value, "__len__") and not is_table(value)


def _is_of_arrow(value: Any) -> bool:
    return hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")


def refuse_another_order(parts: Iterable[Any]) -> None:
    """Refuse tables and columns whose rows have the same names in another order: places or names, one is wrong.

    Raises:
        AlignmentError: There are some.
    """
    found = [part.index for part in parts if hasattr(getattr(part, "index", None), "sort_values")]
    for other in found[1:]:
        if not found[0].equals(other) and found[0].sort_values().equals(other.sort_values()):
            message = (
                "two tables have the same index in another order, so their rows do not belong together by place: bring "
                "them into one order, labels.loc[inputs.index], or drop the index of both, reset_index(drop=True)"
            )
            raise AlignmentError(message)


def refuse_rows_as_tables(dataset: Any) -> None:
    """Refuse a dataset of Hugging Face ``datasets`` that hands out each of its rows as a table.

    Raises:
        ValueError: It does.
    """
    live, streamed = getattr(dataset, "format", None), getattr(dataset, "_formatting", None)
    kind = live.get("type") if isinstance(live, Mapping) else getattr(streamed, "format_type", None)
    if kind in ("arrow", "pandas", "polars"):
        message = (
            f"the dataset hands out each row as a table, with_format({kind!r}); pass dataset.with_format(None), whose "
            "rows are mappings"
        )
        raise ValueError(message)


def take_table_rows(table: Any, rows: Any) -> Any:
    """Return the rows of a slice or an integer array as a table of its own kind, by position.

    An integer gives one sample: what pandas makes of a row, of other tables a mapping of the columns' names to values.
    """
    if hasattr(table, "iloc"):
        return table.iloc[rows]
    if isinstance(rows, slice):
        places = range(table.shape[0])[rows]
        if places.step == 1:
            return table.slice(places.start, len(places))
        rows = np.asarray(places)
    if np.ndim(rows) == 0:
        row = table.slice(int(rows), 1)
        scalars = [column_of(row, place)[0] for place in range(row.shape[1])]
        values = [scalar.as_py() if hasattr(scalar, "as_py") else scalar for scalar in scalars]
        return dict(zip(column_names(table), values, strict=True))
    return table.take(rows) if hasattr(table, "take") else table[rows]


def column_names(table: Any) -> list[Any]:
    """Return the names of a table's columns in their order; none of a series."""
    names = getattr(table, "column_names", None)
    return list(getattr(table, "columns", ()) if names is None else names)


def column_of(table: Any, place: int) -> Any:
    """Return a column of a table by position, as its library has it."""
    if hasattr(table, "iloc"):
        return table.iloc[:, place]
    return table.column(place) if hasattr(table, "column") else table.to_series(place)


def array_of_column(column: Any) -> Any:
    """Return the values of a column as a NumPy array: ``(rows,)``, or ``(rows, n)`` for lists of one length.

    Args:
        column: Anything that NumPy reads, such as a column of a table. Text stays an array of Python's texts, which
            costs the memory of the texts.

    Examples:
        >>> lists = np.empty(2, object)
        >>> lists[:] = [np.zeros(3), np.ones(3)]
        >>> array_of_column(lists).shape
        (2, 3)
    """
    values = np.asarray(column)
    if values.dtype == object and len(values) and isinstance(values[0], np.ndarray):
        shapes = {getattr(value, "shape", None) for value in values}
        return np.stack(list(values)) if len(shapes) == 1 else values
    return values


def declared_columns(model: Any) -> list[str] | None:
    """Return the names of the columns that a model was fitted with or says that it takes, in its order, or None.

    They stand in ``feature_names_in_``, ``feature_names_``, ``feature_name_`` or ``feature_names``, whichever a library
    has; a function may carry one of them, too. Names that a library made up for columns without names are none.

    Examples:
        >>> from types import SimpleNamespace
        >>> declared_columns(SimpleNamespace(feature_names_in_=np.array(["age", "dose"], object)))
        ['age', 'dose']
        >>> declared_columns(SimpleNamespace(feature_name_=["Column_0", "Column_1"])) is None
        True
    """
    owner = getattr(model, "__self__", model)
    for attribute in ("feature_names_in_", "feature_names_", "feature_name_", "feature_names"):
        try:
            names = list(getattr(owner, attribute))
        except Exception:  # noqa: BLE001, S112  # libraries compute them, with errors of their own where there are none
            continue
        if names and all(isinstance(name, str) for name in names):
            made_up = ("Column_",) if attribute == "feature_names_in_" else ("Column_", "", "f")
            found = any(names == [f"{prefix}{place}" for place in range(len(names))] for prefix in made_up)
            return None if found else [str(name) for name in names]
    return None
