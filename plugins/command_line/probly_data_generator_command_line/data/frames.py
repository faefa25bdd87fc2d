"""Data frames for models that know their columns by name."""

import importlib
import json
from collections.abc import Sequence
from typing import Any

from probly.data_generator.installing import install_advice
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.printing import shortened


def frame_of(table: Any, names: Sequence[str], dtype: str | None) -> Any:
    """Return columns of an Arrow table as a data frame of pandas, in this order, with the dtypes that pandas had.

    Args:
        table: The table; what its metadata say of pandas is respected, but for the index: rows are numbered.
        names: The columns.
        dtype: What columns of numbers are cast to, or None.

    Raises:
        InputError: Data frames have no such dtype.
        ImportError: pandas is not installed.
    """
    try:
        importlib.import_module("pandas")  # an optional library, which Arrow makes the frame with
    except ImportError as error:
        message = (
            f"the model knows its columns by name, so it gets a data frame, which needs pandas, which cannot be "
            f"imported ({error}); {install_advice('pandas')}"
        )
        raise ImportError(message) from error
    chosen = table.select(list(names))
    chosen = chosen.replace_schema_metadata(_without_index(chosen.schema.metadata or {}))
    try:
        frame = chosen.to_pandas()
    except Exception:  # noqa: BLE001  # damaged metadata fail in any way; a damaged column fails once more
        frame = chosen.to_pandas(ignore_metadata=True)
    if dtype is None:
        return frame
    if dtype == "bfloat16":
        message = "--input-dtype bfloat16: a data frame has no bfloat16; pass float32 or float16"
        raise InputError(message)
    return frame.astype({name: dtype for name in names if frame[name].dtype.kind in "iuf"})


def _without_index(metadata: dict[bytes, bytes]) -> dict[bytes, bytes]:
    try:
        said = json.loads(metadata[b"pandas"])
        return {**metadata, b"pandas": json.dumps({**said, "index_columns": []}).encode()}
    except (KeyError, ValueError, TypeError):  # written by others, or damaged: the columns have dtypes of their own
        return {name: value for name, value in metadata.items() if name != b"pandas"}


def said_of_frame(frame: Any) -> str:
    """Say what a data frame is.

    Examples:
        >>> import pandas as pd
        >>> said_of_frame(pd.DataFrame({"age": [3, 4], "dose": [0.5, 1.0]}))
        'age, dose: a data frame, as the model knows them, int64, float64 [2, 2]'
    """
    kinds = list(dict.fromkeys(map(str, frame.dtypes)))
    names = shortened(list(frame.columns), 20)
    return f"{names}: a data frame, as the model knows them, {shortened(kinds, 5)} {list(frame.shape)}"
