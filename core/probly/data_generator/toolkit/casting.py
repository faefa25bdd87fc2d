"""Casting the inputs of a batch to the dtype that a model wants, whatever library their arrays are of."""

import sys
from typing import Any

import numpy as np

from probly.data_generator.toolkit.nests import map_leaves


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
    """Return a nest with all its arrays of numbers cast to a dtype; everything else, such as text, stays.

    Examples:
        >>> cast_inputs({"pixels": np.ones(2, np.uint8), "name": "x"}, "float32")
        {'pixels': array([1., 1.], dtype=float32), 'name': 'x'}
    """

    def cast(leaf: Any) -> Any:
        own = getattr(leaf, "dtype", None)
        name = str(getattr(own, "name", own)).rpartition(".")[2]
        if name.rstrip("0123456789") not in ("bool", "int", "uint", "float", "bfloat", "complex"):
            return leaf
        if hasattr(leaf, "astype"):
            return leaf.astype(dtype)
        library = sys.modules[type(leaf).__module__.partition(".")[0]]  # by which the array was made
        return library.cast(leaf, dtype) if hasattr(library, "cast") else leaf.to(getattr(library, dtype))

    return map_leaves(cast, inputs)
