"""From the inputs of a batch to what CatBoost reads: data frames with its columns in its order, and arrays."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import scipy.sparse

from probly.data_generator.toolkit.tables import array_of_column, column_names, column_of, is_table
from probly.data_generator.toolkit.tabular import select_columns

if TYPE_CHECKING:
    from probly_data_generator_catboost.models import CatboostModel


def readable(inputs: Any, model: "CatboostModel") -> Any:
    """Return the inputs of a batch as a data frame, an array or a sparse matrix in the model's order.

    CatBoost itself leaves out what stands behind the columns that it knows, and reads by place where names differ.

    Args:
        inputs: A table or a mapping of columns, which are picked by name where the model has names; an array, lists
            or a sparse matrix, whose columns are in the model's order.
        model: The model.

    Raises:
        ValueError: There are other columns.
    """
    if is_table(inputs) or isinstance(inputs, Mapping):
        given = list(inputs) if isinstance(inputs, Mapping) else column_names(inputs)
        # The columns of a table may be called as CatBoost would call them: "0", "1", ...
        if model.feature_names is not None or sorted(map(str, given)) == sorted(model.about.names):
            inputs = select_columns(inputs, model.about.names)
        inputs = _frame(inputs)
    elif hasattr(inputs, "tocsr"):
        inputs = scipy.sparse.csr_matrix(inputs)  # CatBoost takes no sparse arrays
    elif isinstance(inputs, list):  # rows of texts and numbers
        inputs = np.array(inputs, object)
    else:
        inputs = np.asarray(inputs)
    features = len(model.about.names)
    if len(inputs.shape) != 2 or inputs.shape[1] != features:
        message = f"expected inputs of shape (N, {features}), a column per feature of the model, got {inputs.shape}"
        raise ValueError(message)
    return inputs


def _frame(inputs: Any) -> Any:
    """Return a data frame of pandas, with its columns and dtypes as they are where it is one."""
    if hasattr(inputs, "iloc"):
        return inputs
    if isinstance(inputs, Mapping):
        columns = dict(inputs)
    else:
        columns = {name: column_of(inputs, place) for place, name in enumerate(column_names(inputs))}
    arrays = {name: array_of_column(column) for name, column in columns.items()}
    # Of lists of one length, as embeddings are, a data frame takes the rows.
    return pd.DataFrame({name: array if array.ndim == 1 else list(array) for name, array in arrays.items()})
