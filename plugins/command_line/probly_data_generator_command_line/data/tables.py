"""``--data`` in Parquet."""

from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.formats.shared import optional_library
from probly_data_generator_command_line.data.settings import (
    INPUT_NAMES,
    LABEL_NAMES,
    Data,
    DataSettings,
    choose,
    described,
    missing_inputs,
)
from probly_data_generator_command_line.errors import InputError


def load_parquet(path: Path, settings: DataSettings) -> Data:
    """Read a table: a column of labels, and the inputs from one column of lists or from all other columns as numbers.

    Raises:
        InputError: It is damaged, a value is missing, or a column is neither numbers nor lists of them.
        ImportError: pyarrow is not installed.
    """
    pa = optional_library("pyarrow", "parquet")
    pq = optional_library("pyarrow.parquet", "parquet")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        message = f"{path}: cannot be read as Parquet: {error}"
        raise InputError(message) from error
    names = list(table.column_names)
    label = choose(path, names, settings.labels_key, LABEL_NAMES, "--labels-key")
    inputs = _input_columns(path, [name for name in names if name != label], settings)
    columns = {name: _values(path, name, table.column(name)) for name in inputs}
    array = next(iter(columns.values())) if len(inputs) == 1 else _matrix(path, columns)
    if settings.dtype is not None:
        array = array.astype(settings.dtype, copy=False)
    description = {"data": str(path), "inputs": f"{', '.join(inputs)}: {array.dtype} {list(array.shape)}"}
    if label is None:
        return Data(array, {**description, "labels": "none"})
    labels = np.asarray(_values(path, label, table.column(label), text=True))
    return Data((array, labels), {**description, "labels": described(label, labels)})


def _input_columns(path: Path, names: list[str], settings: DataSettings) -> list[str]:
    if settings.inputs_key is not None:
        wanted = settings.inputs_key.split(",")
        return [str(choose(path, names, name, INPUT_NAMES, "--inputs-key")) for name in wanted]
    named = choose(path, names, None, INPUT_NAMES, "--inputs-key")
    if named is None and not names:
        raise missing_inputs(path, names)
    return names if named is None else [named]


def _values(path: Path, name: str, column: Any, *, text: bool = False) -> Any:
    """Return the values of a column, shape ``(rows,)``, or ``(rows, n)`` for lists of one length."""
    if column.null_count:
        message = f"{path}: column {name!r} lacks {column.null_count} values; fill them in, or leave those rows out"
        raise InputError(message)
    values = column.to_numpy()
    if values.dtype == object and len(values) and isinstance(values[0], np.ndarray):
        widths = {row.shape for row in values}
        values = np.stack(list(values)) if len(widths) == 1 else values
    if values.dtype == object and text:
        values = np.asarray(values.tolist())
    if values.dtype.kind not in ("biufU" if text else "biuf"):
        message = (
            f"{path}: column {name!r} holds {column.type}, expected numbers or lists of one length; choose the columns "
            "of the inputs with --inputs-key a,b,c and that of the labels with --labels-key"
        )
        raise InputError(message)
    return values


def _matrix(path: Path, columns: dict[str, Any]) -> Any:
    wide = [name for name, values in columns.items() if values.ndim != 1]
    if wide:
        message = f"{path}: column {wide[0]!r} holds lists, which do not go with other columns; pass --inputs-key"
        raise InputError(message)
    return np.stack(list(columns.values()), axis=1)
