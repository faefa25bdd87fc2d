"""NumPy in and out: how arrays of any library become NumPy's, and what a model may write to is copied."""

from typing import Any

import numpy as np

from probly.data_generator.toolkit import nests, tables


def to_host(data: Any) -> Any:
    """Return a nest with NumPy arrays in place of arrays of any library, half precision as float32; the given stays.

    Arrays are told by the protocols ``__array__`` and ``__array_interface__``; other leaves are passed on.

    Examples:
        >>> to_host({"half": np.ones(2, np.float16), "name": "x"})
        {'half': array([1., 1.], dtype=float32), 'name': 'x'}
    """

    def hosted(leaf: Any) -> Any:
        array = _to_numpy(leaf)
        # By name: bfloat16 is no dtype of NumPy's own, but of a package that other frameworks bring.
        half = isinstance(array, np.ndarray) and array.dtype.name in ("float16", "bfloat16")
        return array.astype(np.float32) if half else array

    return nests.map_leaves(hosted, data)


def own_copies(data: Any) -> Any:
    """Return a nest with copies of its arrays as NumPy arrays: a model that works in place changes nothing of others.

    Tables and sparse matrices stay what they are, since pipelines pick columns by name.

    Examples:
        >>> values = np.zeros(2)
        >>> own_copies((values, "x"))[0] is values
        False
    """

    def copied(leaf: Any) -> Any:
        if tables.is_table(leaf) or hasattr(leaf, "tocsr"):
            copy = getattr(leaf, "copy", None) or getattr(leaf, "clone", None)
            return leaf if copy is None else copy()  # tables of Arrow cannot be written to
        array = _to_numpy(leaf)
        return array.copy() if isinstance(array, np.ndarray) else array

    return nests.map_leaves(copied, data)


def _to_numpy(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray | np.generic):  # a number or text of NumPy's own is part of a sample
        return leaf
    # Arrays of other libraries say so by these protocols; everything else is a sample of the user's own type.
    return np.asarray(leaf) if hasattr(leaf, "__array__") or hasattr(leaf, "__array_interface__") else leaf
