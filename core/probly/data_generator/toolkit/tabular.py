"""What models of tables take: data frames and sparse matrices, row by row, and their columns by name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.toolkit.nests import collate
from probly.data_generator.toolkit.parts import LABEL_KEYS
from probly.data_generator.toolkit.tables import column_names, is_table

NAMED = ("category", "categorical", "dictionary", "enum")
"""How the libraries of tables call the types of columns whose values are categories."""


def rowwise(dataset: Any) -> Any:
    """Return a dataset whose sparse matrices, of any format, are CSR, the format that is cut by rows.

    Args:
        dataset: A dataset, or a tuple of its inputs and labels.
    """
    if type(dataset) is tuple:
        return tuple(map(rowwise, dataset))
    sparse = hasattr(dataset, "tocsr") and getattr(dataset, "format", "csr") != "csr"
    return dataset.tocsr() if sparse else dataset


def stack_rows(samples: Sequence[Any]) -> Any:
    """Make a batch of samples: rows of a data frame become one again, sparse rows a CSR matrix, others an array.

    Examples:
        >>> stack_rows([[1.0, 2.0], [3.0, 4.0]]).shape
        (2, 2)
    """
    first = samples[0]
    if hasattr(first, "tocsr"):
        import scipy.sparse  # noqa: PLC0415  # the library of the samples

        return scipy.sparse.vstack([sample.reshape(1, -1) for sample in samples], format="csr")
    if is_table(first) and first.ndim == 1:
        import pandas as pd  # type: ignore[import-untyped]  # noqa: PLC0415  # the library of the samples

        # A row of columns with different dtypes holds objects; pandas gives each column its own dtype back.
        return pd.DataFrame(list(samples))
    return collate(samples)


def select_columns(inputs: Any, names: Sequence[str]) -> Any:
    """Return a table, or a mapping of columns, with the columns that a model knows by name, in its order.

    Args:
        inputs: A table of any library, or a mapping from names to columns, whose labels are left out.
        names: What the model calls its columns.

    Raises:
        ValueError: A column is missing, stands there twice, or is one that the model does not know.

    Examples:
        >>> select_columns({"dose": [0.5], "age": [3], "label": [1]}, ["age", "dose"])
        {'age': [3], 'dose': [0.5]}
        >>> select_columns({"dose": [0.5], "weight": [3]}, ["age", "dose"])
        Traceback (most recent call last):
            ...
        ValueError: the model knows its columns by name, 'age', 'dose'; missing: 'age'; not known to it: 'weight'; \
rename the columns, or pass those of the model alone, in any order
    """
    is_mapping = isinstance(inputs, Mapping)
    given = [str(name) for name in (inputs if is_mapping else column_names(inputs))]  # pandas has numbers, too
    if given == list(names):
        return inputs
    known, counts = set(names), Counter(given)
    problems = {
        "missing": [name for name in names if name not in counts],
        "not known to it": [name for name in counts if name not in known and not (is_mapping and name in LABEL_KEYS)],
        "more than once": [name for name, count in counts.items() if count > 1],
    }
    if any(problems.values()):
        said = "; ".join(f"{problem}: {_shown(some)}" for problem, some in problems.items() if some)
        message = (
            f"the model knows its columns by name, {_shown(names)}; {said}; rename the columns, or pass those of the "
            "model alone, in any order"
        )
        raise ValueError(message)
    if is_mapping:
        return {name: inputs[name] for name in names}
    if hasattr(inputs, "iloc"):
        return inputs.iloc[:, [given.index(name) for name in names]]
    return inputs.select(list(names))


def kind_of(column: Any) -> str:
    """Return the name of the type of a column, as its library has it."""
    return str(getattr(column, "dtype", None) or getattr(column, "type", None) or type(column).__name__)


def numbers_of(column: Any) -> npt.NDArray[np.float64] | None:
    """Return a column of numbers with NaN where one is missing, or None of categories, texts and all else.

    Args:
        column: A column of a table of any library, an array or a list.

    Examples:
        >>> numbers_of([3, None]), numbers_of(["Ulm", None])
        (array([ 3., nan]), None)
    """
    if kind_of(column).lower().startswith(NAMED):
        return None
    if hasattr(column, "iloc") and column.dtype.kind in "biuf":  # dtypes with a missing value of their own, too
        numbers: npt.NDArray[np.float64] = column.to_numpy(np.float64, na_value=np.nan)
        return numbers
    array = np.asarray(column)
    if array.dtype == object and all(value is None or isinstance(value, bool | int | float) for value in array):
        return array.astype(np.float64)  # None becomes NaN
    return array.astype(np.float64) if array.dtype.kind in "biuf" else None


def values_of(column: Any) -> list[Any]:
    """Return the values of a column of categories or texts, None where one is missing.

    Examples:
        >>> values_of(np.array(["Ulm", None, float("nan")], object))
        ['Ulm', None, None]
    """
    names = ("to_pylist", "to_list", "tolist", "copy")
    values = next(getattr(column, name) for name in names if hasattr(column, name))()
    return [None if _is_missing(value) else value for value in values]


def _is_missing(value: Any) -> bool:
    # Missing values of pandas' own do not say whether they equal themselves.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and isnan(value))


def _shown(names: Sequence[Any], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def are_no_codes(categories: Sequence[Any]) -> bool:
    """Return whether numbers that stand for categories are told from their codes 0, 1, 2, ..., or are these themselves.

    Files such as CSV give categories that are numbers as numbers, and those may be one or the other.

    Examples:
        >>> are_no_codes([10, 20, 30]), are_no_codes([0, 1, 2]), are_no_codes([1, 2, 3]), are_no_codes(["a", "b"])
        (True, True, False, False)
    """
    codes = range(len(categories))
    is_number = all(isinstance(value, int | float) for value in categories)
    return is_number and (list(categories) == list(codes) or not any(value in codes for value in categories))


def shown_names(names: Sequence[Any], most: int = 8) -> str:
    """Return the first of some names for a message, and how many more there are.

    Examples:
        >>> shown_names(["a", "b", "c"], most=2)
        "'a', 'b' and 1 more"
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
