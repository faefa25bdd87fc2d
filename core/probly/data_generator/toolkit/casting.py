"""Casting the inputs of a batch to the dtype that a model wants, whatever library their arrays are of."""

import sys
from typing import Any

import numpy as np

from probly.data_generator.toolkit.nests import map_leaves

KINDS = ("bool", "int", "uint", "float", "bfloat", "complex")


def check_dtype(name: str | None) -> str | None:
    """Return the name of a dtype of numbers.

    Raises:
        ValueError: It is none.

    Examples:
        >>> check_dtype("float32")
        'float32'
    """
    if name is None or name == "bfloat16":  # which NumPy does not have
        return name
    try:
        known = isinstance(name, str) and np.dtype(name).kind in "biufc"
    except TypeError:
        known = False
    if not known:
        message = f"input_dtype: expected the name of a dtype of numbers, such as 'float32', got {name!r}"
        raise ValueError(message)
    return np.dtype(name).name


def cast_inputs(inputs: Any, dtype: str) -> Any:
    """Return a nest with all its arrays of numbers cast; everything else, such as text, stays.

    Args:
        inputs: The inputs of a batch.
        dtype: See ``check_dtype``.

    Examples:
        >>> cast_inputs({"pixels": np.ones(2, np.uint8), "name": "x"}, "float32")
        {'pixels': array([1., 1.], dtype=float32), 'name': 'x'}
    """
    return map_leaves(lambda leaf: _cast(leaf, dtype), inputs)


def _cast(leaf: Any, dtype: str) -> Any:
    own = getattr(leaf, "dtype", None)
    name = str(getattr(own, "name", own)).rpartition(".")[2]
    if name.rstrip("0123456789") not in KINDS:
        return leaf
    if hasattr(leaf, "astype"):
        return leaf.astype(dtype)
    library = sys.modules[type(leaf).__module__.partition(".")[0]]  # by which the array was made
    if hasattr(library, "cast"):
        return library.cast(leaf, dtype)
    return leaf.to(getattr(library, dtype))
