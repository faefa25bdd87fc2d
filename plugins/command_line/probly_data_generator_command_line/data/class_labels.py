"""Labels whose names stand beside them: a ``ClassLabel`` of Hugging Face ``datasets``, saved or in a Parquet file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probly_data_generator_command_line.data.settings import label_positions
from probly_data_generator_command_line.errors import InputError


def names_in_schema(metadata: Mapping[bytes, bytes] | None, column: str) -> list[str] | None:
    """Return the names that ``datasets`` gives to the labels of a column of Arrow's, or None.

    Args:
        metadata: That of the schema, where it keeps its features as JSON.
        column: The name of the column.

    Examples:
        >>> kept = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
        >>> names_in_schema({b"huggingface": json.dumps(kept).encode()}, "label")
        ['no', 'yes']
    """
    try:
        found: Any = json.loads((metadata or {})[b"huggingface"])["info"]["features"][column]
        names = found["names"] if found["_type"] == "ClassLabel" else None
    except (ValueError, KeyError, TypeError):  # not of `datasets`, or damaged: the labels are numbers all the same
        return None
    return names if isinstance(names, list) and names and all(isinstance(name, str) for name in names) else None


def columns_of(
    path: Path, column: str, labels: Any, names: Sequence[str], model: Sequence[str] | None
) -> tuple[Any, int]:
    """Return the column of the model that each label belongs to, -1 for none, and how many rows have none.

    Args:
        path: The data, for messages.
        column: The labels' column, for messages.
        labels: int64, shape ``(rows,)``: which of the names, or -1.
        names: What they count.
        model: The names of the model's columns, or None.

    Raises:
        InputError: One counts beyond the names, or its name is none of the model's.
    """
    wrong = np.flatnonzero((labels < -1) | (labels >= len(names)))
    if len(wrong):
        message = (
            f"{path}: row {wrong[0]} of column {column!r} holds {labels[wrong[0]]}, expected one of the {len(names)} "
            "classes by number, or -1 for none"
        )
        raise InputError(message)
    positions = np.asarray([*label_positions(names, model, path), -1])
    return positions[labels], int((labels == -1).sum())
