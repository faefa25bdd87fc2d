"""``--data`` as a table: a data frame for models that know columns by name, for others numbers in a stated order."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.formats.shared import optional_library
from probly.data_generator.toolkit.parts import LABEL_KEYS
from probly.data_generator.toolkit.tables import array_of_column
from probly_data_generator_command_line.data.class_labels import columns_of, names_in_schema
from probly_data_generator_command_line.data.frames import frame_of, said_of_frame
from probly_data_generator_command_line.data.settings import (
    INPUT_NAMES,
    LABEL_NAMES,
    Data,
    DataSettings,
    choose,
    described,
    missing_inputs,
    text_columns,
    unlabelled,
)
from probly_data_generator_command_line.data.unpacking import check_parquet
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.printing import shortened

SUFFIXES = (".parquet", ".csv", ".jsonl")
LONGEST_ROW = 1 << 26
"""The bytes that one row of CSV or JSON may have; what a column holds is told by as many."""
INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls the column of an index without a name."""
GAPS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "None", "n/a", "nan", "null"),
)
"""What ``pandas.read_csv`` takes for a missing value: models that know their columns by name were fitted with that."""


def load_table(path: Path, settings: DataSettings) -> Data:
    """Read a table: a column of labels, and the inputs.

    A model that knows its columns by name gets a data frame of them, in its own order, with their dtypes. Any other
    model gets one column of lists or of text, or two of text, or else all other columns as numbers, in the order of the
    table. An index of pandas is no input unless it is asked for.

    Raises:
        InputError: It is damaged; a column that the model knows is missing, or another one is asked for; or, where a
            model takes numbers, a value is missing or none.
        ImportError: pyarrow is not installed, or pandas, where a data frame is needed.
    """
    table = _read(path, settings)
    names = list(table.column_names)
    wanted = None if settings.inputs_key is None else settings.inputs_key.split(",")
    for name in wanted or ():
        choose(path, names, name, INPUT_NAMES, "--inputs-key")
    known = _known(path, table, wanted, settings.feature_names)
    taken = {*(wanted or ()), *(known or ())}
    index = [name for name in _index_columns(table) if name not in taken]
    ordinary = [name for name in names if name not in index]
    label = _label(path, names, [name for name in ordinary if name not in taken], known, settings)
    inputs = known or wanted or _inputs(path, [name for name in ordinary if name != label])
    if known is None:
        samples = _array(path, table, inputs, settings)
        said = f"{', '.join(inputs)}: {samples.dtype} {list(samples.shape)}"
        if settings.feature_names is not None:
            said += ", by position: its lists have no names"
    else:
        samples = frame_of(table, known, settings.dtype)
        said = said_of_frame(samples)
    description = {"data": str(path), "inputs": said}
    unused = [
        f"{name} (an index of pandas)" if name in index else name for name in names if name not in (*inputs, label)
    ]
    if label is None:
        return Data(samples, {**description, "labels": "none", "not used": shortened(unused)})
    labels, without = _labels(path, label, table.column(label))
    class_names = names_in_schema(table.schema.metadata, label) if labels.dtype.kind in "iu" else None
    if class_names is not None:
        labels, without = columns_of(path, label, labels.astype(np.int64), class_names, settings.columns)
    said = described(label, labels) + unlabelled(without)
    return Data((samples, labels), {**description, "labels": said, "not used": shortened(unused)}, class_names)


def _read(path: Path, settings: DataSettings) -> Any:
    kind = {".csv": "CSV", ".jsonl": "lines of JSON"}.get(path.suffix.lower(), "Parquet")
    try:
        table = _opened(path, settings)
        table.validate(full=True)  # texts, too
    except (InputError, MemoryError, ImportError):
        raise
    except Exception as error:  # a damaged file fails in any way
        message = f"{path}: cannot be read as {kind}: {error}"
        raise InputError(message) from error
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        message = (
            f"{path}: {len(twice)} names stand at several columns, as {twice[0]!r}; write it with names that differ"
        )
        raise InputError(message)
    return table


def _opened(path: Path, settings: DataSettings) -> Any:
    if path.suffix.lower() == ".csv":
        csv = optional_library("pyarrow.csv", "parquet")
        lines = csv.ParseOptions(newlines_in_values=True)
        # Without a data frame, a column of text is what a model reads, and "None" is a text like others.
        of_pandas = csv.ConvertOptions(null_values=GAPS, strings_can_be_null=settings.feature_names is not None)
        return csv.read_csv(path, csv.ReadOptions(block_size=LONGEST_ROW), lines, of_pandas)
    if path.suffix.lower() == ".jsonl":
        json_lines = optional_library("pyarrow.json", "parquet")
        return json_lines.read_json(path, json_lines.ReadOptions(block_size=LONGEST_ROW))
    pq = optional_library("pyarrow.parquet", "parquet")
    with pq.ParquetFile(path) as file:  # read_table would make columns of folders that are called year=2026
        check_parquet(path, file, settings.limit)
        return file.read()


def _index_columns(table: Any) -> list[str]:
    """Return the columns that pandas wrote for the index of a data frame."""
    try:
        found = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))["index_columns"]
    except (ValueError, KeyError, TypeError):  # not of pandas, or damaged; the columns themselves are in the table
        found = []
    said = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    return [name for name in table.column_names if name in said or INDEX.fullmatch(name)]


def _known(path: Path, table: Any, wanted: list[str] | None, feature_names: Sequence[str] | None) -> list[str] | None:
    """Return the columns that the model knows by name; None where it knows none, or one column of lists is given.

    Raises:
        InputError: One is missing, or others are asked for.
    """
    if feature_names is None:
        return None
    names = table.column_names if wanted is None else wanted
    missing = [name for name in feature_names if name not in names]
    unknown = [] if wanted is None else [name for name in wanted if name not in feature_names]
    if not missing and not unknown:
        return list(feature_names)
    lists: list[str | None] = [*wanted] if wanted else [choose(path, names, None, INPUT_NAMES, "--inputs-key")]
    if len(lists) == 1 and lists[0] is not None and _holds_lists(table, lists[0]):
        return None
    problems = [
        f"{word} {', '.join(map(repr, some[:5]))}" for word, some in (("lacks", missing), ("has", unknown)) if some
    ]
    where = path if wanted is None else f"{path}: --inputs-key {','.join(wanted)}"
    others = "" if unknown else f"; there are {shortened(names)}"
    remedy = "rename the columns of the table" if wanted is None else "name those, or leave --inputs-key out"
    message = (
        f"{where}: the model knows its columns by name, {shortened(feature_names)}, and takes no others; "
        f"the {'table' if wanted is None else 'option'} {' and '.join(problems)}{others}; {remedy}"
    )
    raise InputError(message)


def _holds_lists(table: Any, name: str) -> bool:
    return "list" in str(table.schema.field(name).type).partition("<")[0]


def _label(
    path: Path, names: list[str], rest: list[str], known: list[str] | None, settings: DataSettings
) -> str | None:
    wanted = settings.labels_key
    if wanted is not None and wanted in (known or ()):
        message = f"{path}: --labels-key {wanted}: the model takes this column as an input; name another column"
        raise InputError(message)
    both = [name for name in rest if name.lower() in LABEL_KEYS]
    if wanted is None and len(both) > 1:  # the other one would be an input
        message = (
            f"{path}: has both {both[0]!r} and {both[1]!r}; name the labels with --labels-key, and the inputs with "
        )
        raise InputError(message + "--inputs-key")
    return choose(path, rest if wanted is None else names, wanted, LABEL_NAMES, "--labels-key")


def _inputs(path: Path, names: list[str]) -> list[str]:
    named = choose(path, names, None, INPUT_NAMES, "--inputs-key")
    if named is None and not names:
        raise missing_inputs(path, names)
    return (text_columns(names) or names) if named is None else [named]


def _array(path: Path, table: Any, inputs: list[str], settings: DataSettings) -> Any:
    text = len(inputs) == 1 or (_name_pairs(inputs, settings) and all(_is_text(table.column(name)) for name in inputs))
    columns = {name: _values(path, name, table.column(name), text=text) for name in inputs}
    array = next(iter(columns.values())) if len(inputs) == 1 else _matrix(path, columns)
    width = None if settings.feature_names is None else len(settings.feature_names)
    if width not in (None, *array.shape[1:]):
        message = (
            f"{path}: column {inputs[0]!r} holds lists of {' x '.join(map(str, array.shape[1:]))} numbers, the model "
            f"takes {width}: {shortened(settings.feature_names or ())}"
        )
        raise InputError(message)
    return array


def _name_pairs(inputs: list[str], settings: DataSettings) -> bool:
    """Return whether two columns are the texts of pairs, where somebody says so: others may be names, or labels."""
    said = settings.inputs_key is not None and not any(name.lower() in LABEL_NAMES for name in inputs)
    return len(inputs) == 2 and (said or inputs == text_columns(inputs))


def _values(path: Path, name: str, column: Any, *, text: bool) -> Any:
    """Return the values of a column: numbers, ``(rows,)``; lists of one length, ``(rows, n)``; or texts."""
    if column.null_count:
        first = int(np.argmax(np.asarray(column.is_null())))
        message = (
            f"{path}: column {name!r} lacks {column.null_count} values, the first in row {first}; fill them in, or "
            "leave those rows out"
        )
        raise InputError(message)
    values = array_of_column(column)
    if values.dtype.kind in "biuf" or (text and _is_text(column)):
        return values
    message = (
        f"{path}: column {name!r} holds {column.type}, expected numbers or lists of one length; choose the columns "
        "of the inputs with --inputs-key a,b,c and that of the labels with --labels-key"
    )
    raise InputError(message)


def _is_text(column: Any) -> bool:
    kind = str(getattr(column.type, "value_type", column.type))
    return kind.removeprefix("large_") in ("string", "string_view")


def _matrix(path: Path, columns: dict[str, Any]) -> Any:
    wide = [name for name, values in columns.items() if values.ndim != 1]
    if wide:
        message = f"{path}: column {wide[0]!r} holds lists, which do not go with other columns; pass --inputs-key"
        raise InputError(message)
    return np.stack(list(columns.values()), axis=1)


def _labels(path: Path, name: str, column: Any) -> tuple[Any, int]:
    """Return the labels, and how many rows have none: they are -1 among numbers, None among texts."""
    without = column.null_count
    if _is_text(column):
        return np.asarray(column.to_pylist(), object), without
    if without and str(column.type).startswith(("int", "uint")):
        column = column.cast("int64").fill_null(-1)
    return _values(path, name, column, text=False), without
