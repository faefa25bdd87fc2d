"""From the inputs of a batch to the matrix that a booster reads: columns by name, categories by their codes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

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
    named = _named(found, columns, model.about)
    guessed = [name for name in named if found[name] is not None]
    way = _way_out(columns, model.about)
    for name, known in zip(named, model.about.categories, strict=True):
        found[name] = _codes(name, columns[name], known, guessed, way)
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


def _named(found: Mapping[Any, Any], columns: Mapping[Any, Any], about: "About") -> list[Any]:
    """Return the columns that had named categories, in their order.

    LightGBM knows how many there were, their names and their order, but not which ones. They are those that hold
    categories or texts now; where some hold numbers, as in a CSV file, those that were trained on as categories.

    Raises:
        ValueError: There are more or fewer of them, or the booster was trained with numbers there.
    """
    lists, infos = about.categories, dict(zip(columns, about.infos, strict=True))
    texts = [name for name, numbers in found.items() if numbers is None]
    named = texts
    if len(texts) < len(lists):
        named = [name for name, info in infos.items() if name in texts or info[0] not in "[n"]
    wrong = [name for name in texts if not any(_fits(infos[name], known) for known in lists)]
    others = [name for name, known in zip(named, lists, strict=False) if not _fits(infos[name], known)]
    if named is texts and len(named) == len(lists):
        wrong += others
    if wrong:
        message = (
            f"column {wrong[0]!r} holds {kind_of(columns[wrong[0]])}, and the booster was trained with numbers there; "
            "pass numbers: of a category, the codes that it was trained with"
        )
        raise ValueError(message)
    if others or len(named) != len(lists):
        message = (
            f"the booster was trained with {len(lists)} columns of named categories, the table has {len(texts)}; "
            f"{_way_out(columns, about)}"
        )
        raise ValueError(message)
    return named


def _way_out(columns: Mapping[Any, Any], about: "About") -> str:
    """Say what to do where it is not known which columns had named categories."""
    infos = zip(columns, about.infos, strict=True)
    possible = [name for name, info in infos if any(_fits(info, known) for known in about.categories)]
    return (
        f"make those that had names, which are among {shown_names(possible)}, columns of categories, "
        "frame[name].astype('category'); on the command line, --data module:function may give such a table"
    )


def _fits(info: str, known: Sequence[Any]) -> bool:
    """Return whether what was seen of a column may be the codes of some categories.

    Of categories with an order, and of those that were left out of ``categorical_feature``, it is a range of codes.
    """
    seen = [] if info == "none" else [float(number) for number in info.strip("[]").split(":")]
    return all(number in range(-1, len(known)) for number in seen)


def _codes(
    name: Any, column: Any, known: Sequence[Any], guessed: Sequence[Any], way_out: str
) -> npt.NDArray[np.float64]:
    """Return the codes of a column of categories; as LightGBM has it, one that it has not seen is a missing one.

    Args:
        name: The name of the column.
        column: The column.
        known: Its categories, in the order of their codes.
        guessed: The columns of categories that hold numbers. With one of them, all categories must be known: that is
            what tells whether it is one.
        way_out: What to do where that cannot be told.

    Raises:
        ValueError: Its numbers may be something else than its categories.
    """
    codes = {value: float(code) for code, value in enumerate(known)}
    values = values_of(column)
    unknown = [value for value in values if value is not None and value not in codes]
    numbers = name in guessed and any(value is not None for value in values)
    if numbers and (unknown or not are_no_codes(known)):
        way = "pass these names"
        if all(isinstance(value, int | float) for value in known):
            way = f"or they are codes of another column's; {way_out}"
        message = (
            f"column {name!r} holds numbers, and the booster knows its categories by name ({shown_names(known)}); {way}"
        )
        raise ValueError(message)
    if guessed and unknown:
        message = (
            f"column {name!r} holds {unknown[0]!r}, which is none of the categories that the booster was trained with "
            f"({shown_names(known)}); as it is missing then, leave it empty; or, as {guessed[0]!r} holds numbers, "
            f"{way_out}"
        )
        raise ValueError(message)
    return np.array([codes.get(value, np.nan) for value in values])
