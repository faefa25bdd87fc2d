"""From the inputs of a batch to the matrix that a booster reads: columns by name, categories by their codes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from probly.data_generator.toolkit.tables import column_names, column_of, is_table
from probly.data_generator.toolkit.tabular import kind_of, numbers_of, select_columns, values_of

if TYPE_CHECKING:
    from probly_data_generator_lightgbm.models import About, LightgbmModel


def matrix_of(inputs: Any, model: "LightgbmModel") -> Any:
    """Return the inputs of a batch as a matrix in the booster's order; missing values are NaN.

    Args:
        inputs: A table or a mapping of columns, which are picked by name where the booster has names; an array or a
            sparse matrix, whose columns are in the booster's order.
        model: The model.

    Returns:
        Shape ``(N, features)``, float64 of a table; CSR of a sparse matrix or array, of which LightGBM takes the first.

    Raises:
        ValueError: There are other columns, or one holds neither numbers nor categories that the booster knows.
    """
    if is_table(inputs) or isinstance(inputs, Mapping):
        return _of_columns(inputs, model)
    array = scipy.sparse.csr_matrix(inputs) if hasattr(inputs, "tocsr") else np.asarray(inputs)
    features = len(model.about.names)
    if len(array.shape) != 2 or array.shape[1] != features:
        message = f"expected inputs of shape (N, {features}), a column per feature of the booster, got {array.shape}"
        raise ValueError(message)
    if array.dtype.kind not in "biuf":
        message = f"expected inputs of numbers, got an array of {array.dtype}; pass a table whose columns have types"
        raise ValueError(message)
    return array


def _of_columns(inputs: Any, model: "LightgbmModel") -> npt.NDArray[np.float64]:
    names = model.feature_names
    if names is None and sorted(map(str, given_names(inputs))) == sorted(model.about.names):
        names = model.about.names  # the columns of a table may be called as LightGBM would call them
    if names is not None:
        inputs = select_columns(with_underscores(inputs, names), names)
    if isinstance(inputs, Mapping):
        columns = dict(inputs)
    else:
        columns = {name: column_of(inputs, place) for place, name in enumerate(column_names(inputs))}
    if len(columns) != len(model.about.names):
        message = f"expected {len(model.about.names)} columns, as many as the booster has features, got {len(columns)}"
        raise ValueError(message)
    found = {name: numbers_of(column) for name, column in columns.items()}
    named = [name for name, numbers in found.items() if numbers is None]
    _check_categories(named, columns, model.about)
    for name, known in zip(named, model.about.categories, strict=True):
        codes = {value: float(code) for code, value in enumerate(known)}
        # As LightGBM has it, a category that it has not seen is a missing one.
        found[name] = np.array([codes.get(value, np.nan) for value in values_of(columns[name])])
    return np.stack(list(found.values()), axis=1)  # type: ignore[arg-type]  # none of them is None by now


def given_names(inputs: Any) -> list[Any]:
    """Return the names of the columns of a table, or of a mapping."""
    return list(inputs) if isinstance(inputs, Mapping) else column_names(inputs)


def with_underscores(inputs: Any, names: list[str]) -> Any:
    """Return a table whose names have an underscore for each blank, where those are what the booster calls them."""
    given = given_names(inputs)
    changed = {name: str(name).replace(" ", "_") for name in given if name not in names and " " in str(name)}
    changed = {name: new for name, new in changed.items() if new in names and new not in given}
    if not changed:
        return inputs
    if isinstance(inputs, Mapping):
        return {changed.get(name, name): column for name, column in inputs.items()}
    if hasattr(inputs, "rename_columns"):
        return inputs.rename_columns([changed.get(name, name) for name in given])
    return inputs.rename(columns=changed) if hasattr(inputs, "iloc") else inputs.rename(changed)


def _check_categories(named: list[Any], columns: Mapping[Any, Any], about: "About") -> None:
    """Refuse columns of categories or texts where the booster was trained with numbers, and the other way round.

    LightGBM knows how many columns had named categories, and in which order, but not which ones.
    """
    possible = [name for name, info in zip(columns, about.infos, strict=True) if not info.startswith("[")]
    wrong = [name for name in named if name not in possible]
    if wrong or (named and not about.categories):
        name = wrong[0] if wrong else named[0]
        message = (
            f"column {name!r} holds {kind_of(columns[name])}, and the booster was trained with numbers there; pass "
            "numbers: of a category, the codes that it was trained with"
        )
        raise ValueError(message)
    if len(named) != len(about.categories):
        some = ", ".join(map(repr, possible[:8]))
        message = (
            f"the booster was trained with {len(about.categories)} columns of named categories, the table has "
            f"{len(named)}; make those that had names, which are among {some}, columns of categories, "
            "frame[name].astype('category')"
        )
        raise ValueError(message)
