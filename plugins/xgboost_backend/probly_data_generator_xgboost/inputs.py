"""From the inputs of a batch to the matrix that a booster reads: columns by name, categories by their codes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.toolkit.tables import column_names, column_of, is_table
from probly.data_generator.toolkit.tabular import (
    are_no_codes,
    kind_of,
    numbers_of,
    select_columns,
    shown_names,
    values_of,
)

if TYPE_CHECKING:
    from probly_data_generator_xgboost.models import XgboostModel

Numbers = npt.NDArray[Any]


def matrix_of(inputs: Any, model: "XgboostModel") -> Any:
    """Return the inputs of a batch as a matrix in the booster's order; missing values are NaN.

    Args:
        inputs: A table or a mapping of columns, which are picked by name where the booster has names; an array or a
            sparse matrix, whose columns are in the booster's order.
        model: The model.

    Returns:
        Shape ``(N, features)``, float64 of a table; sparse matrices as they are.

    Raises:
        ValueError: There are other columns, or one holds neither numbers nor categories that the booster knows.
    """
    if is_table(inputs) or isinstance(inputs, Mapping):
        return _of_columns(inputs, model)
    array = inputs if hasattr(inputs, "tocsr") else np.asarray(inputs)
    features = model.about.features
    if len(array.shape) != 2 or array.shape[1] != features:
        message = f"expected inputs of shape (N, {features}), a column per feature of the booster, got {array.shape}"
        raise ValueError(message)
    if array.dtype.kind not in "biuf":
        message = f"expected inputs of numbers, got an array of {array.dtype}; pass a table whose columns have types"
        raise ValueError(message)
    return array


def _of_columns(inputs: Any, model: "XgboostModel") -> Numbers:
    if model.feature_names is not None:
        inputs = select_columns(inputs, model.feature_names)
    if isinstance(inputs, Mapping):
        columns = dict(inputs)
    else:
        columns = {name: column_of(inputs, place) for place, name in enumerate(column_names(inputs))}
    features = model.about.features
    if len(columns) != features:
        message = f"expected {features} columns, as many as the booster has features, got {len(columns)}"
        raise ValueError(message)
    categories = model.categories
    return np.stack(
        [_numbers(name, column, categories.get(place)) for place, (name, column) in enumerate(columns.items())], axis=1
    )


def _numbers(name: Any, column: Any, known: Sequence[Any] | None) -> Numbers:
    """Return a column as float64, of categories their codes."""
    numbers = numbers_of(column)
    if known is None and numbers is not None:
        return numbers
    if known is None:
        message = (
            f"column {name!r} holds {kind_of(column)}, and the booster knows no names of categories there; pass "
            "numbers: of a category that it was trained with, the codes of those days"
        )
        raise ValueError(message)
    if numbers is not None and not np.isnan(numbers).all() and not are_no_codes(known):
        way = "pass these names"
        if all(isinstance(value, int | float) for value in known):
            way = (
                f"as those numbers may be codes, make it a column of categories, frame[{name!r}].astype('category'); "
                "on the command line, --data module:function may give such a table"
            )
        message = (
            f"column {name!r} holds numbers, and the booster knows its categories by name ({shown_names(known)}); {way}"
        )
        raise ValueError(message)
    codes = {value: float(code) for code, value in enumerate(known)}
    values = values_of(column)
    # XGBoost would read another category in the place of one that it has not seen.
    unknown = [value for value in values if value is not None and value not in codes]
    if unknown:
        message = (
            f"column {name!r} holds {unknown[0]!r}, which is none of the categories that the booster was trained with "
            f"({shown_names(known)}); leave it empty, None, or leave those rows out"
        )
        raise ValueError(message)
    return np.array([np.nan if value is None else codes[value] for value in values])
