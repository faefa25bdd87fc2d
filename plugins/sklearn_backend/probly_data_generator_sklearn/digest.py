"""Telling fitted estimators apart: a digest of all that predictions depend on, the same in every process."""

import copyreg
import hashlib
from collections.abc import Iterable, Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import scipy.sparse  # type: ignore[import-untyped]
from sklearn.base import BaseEstimator
from sklearn.neighbors import BallTree, KDTree

from probly.data_generator.run.identity import describe_function
from probly.data_generator.toolkit.digest import digest
from probly.data_generator.toolkit.tables import is_table

NOT_LEARNED = frozenset({"n_jobs", "verbose", "memory", "pre_dispatch", "_sklearn_version", "_stop_words_id"})
"""The attributes of an estimator that say how to compute, not what; the last one is an address in memory."""


def digest_of_fitted(source: Any) -> str:
    """Return the SHA-256 of an estimator's parameters and fitted attributes, or ``""`` where they cannot be seen.

    Whatever pickling would store is looked at, each object by its content: neither the order of attributes nor the
    sharing of arrays matters, nor the state of random generators, the counters of neighbour trees, or the times and
    scores of a search next to its best estimator. Functions are known by their code and their closure, not by the
    globals that they use.

    Examples:
        >>> digest_of_fitted(len), digest_of_fitted(lambda batch: batch)
        ('', '')
    """
    if isinstance(source, MethodType):
        source = source.__self__
    if isinstance(source, FunctionType | type) or not hasattr(source, "__dict__"):
        return ""
    try:
        return f"sha256:{_digest(source, ()).hex()}"
    except Exception:  # noqa: BLE001  # an object that cannot be pickled cannot be seen into, either
        return ""


def _digest(value: Any, above: tuple[int, ...]) -> bytes:
    kind = type(value)
    whole = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__}:".encode())
    if isinstance(value, str | bytes | int | float | complex | None):
        whole.update(repr(value).encode())
    elif isinstance(value, type):
        whole.update(f"{value.__module__}.{value.__qualname__}".encode())
    elif isinstance(value, np.random.RandomState | np.random.Generator):
        pass  # fitting has used it, predicting does not
    elif id(value) in above:
        whole.update(f"the object {above.index(id(value))} levels from the top".encode())
    else:
        for part in _parts(value, (*above, id(value))):
            whole.update(part)
    return whole.digest()


def _parts(value: Any, above: tuple[int, ...]) -> Iterable[bytes]:
    """Return the digests that together are the value's content, in an order that does not change."""
    if isinstance(value, np.ma.MaskedArray):
        return [_digest(part, above) for part in (value.data, np.ma.getmaskarray(value))]
    if isinstance(value, np.ndarray | np.generic):
        return _array_parts(np.asarray(value), above)
    if isinstance(value, Mapping):
        return sorted(_digest(key, above) + _digest(part, above) for key, part in value.items())
    if isinstance(value, set | frozenset):
        return sorted(_digest(part, above) for part in value)
    if not isinstance(value, list | tuple):
        value = _content(value)
    return (_digest(part, above) for part in value)


def _array_parts(array: np.ndarray[Any, Any], above: tuple[int, ...]) -> Iterable[bytes]:
    if array.dtype.names:  # the bytes between two fields hold anything
        return [name.encode() + _digest(np.ascontiguousarray(array[name]), above) for name in array.dtype.names]
    if array.dtype.hasobject:
        return [str(array.shape).encode(), *(_digest(part, above) for part in array.ravel().tolist())]
    return [digest([("", array)]).encode()]


def _content(value: Any) -> list[Any]:
    """Return what an object is made of."""
    if scipy.sparse.issparse(value):
        rowwise = value.tocsr()
        return [rowwise.shape, rowwise.data, rowwise.indices, rowwise.indptr]
    if is_table(value):
        types = [str(kind) for kind in np.atleast_1d(np.asarray(value.dtypes, dtype=object))]
        return [np.asarray(value), list(getattr(value, "columns", ())), np.asarray(value.index), types]
    if isinstance(value, KDTree | BallTree):  # the rest is computed from it, and counts calls
        return [np.asarray(value.data)]
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return [describe_function(value), value.__defaults__, value.__kwdefaults__, cells]
    return [value.__func__, value.__self__] if isinstance(value, MethodType) else _pickled(value)


def _pickled(value: Any) -> list[Any]:
    """Return what pickle would store: a name, or how to make the object, of what, and its state."""
    reduce = copyreg.dispatch_table.get(type(value))
    reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
    if isinstance(reduced, str):
        return [reduced]
    make, arguments, state, *items = [*reduced, None][: max(len(reduced), 3)]
    return [make, arguments, _learned(value, state), *(list(part) for part in items[:2] if part is not None)]


def _learned(value: Any, state: Any) -> Any:
    if not isinstance(value, BaseEstimator) or not isinstance(state, Mapping):
        return state
    if "best_estimator_" in state:  # a search predicts with it alone; the rest are times and scores
        return state["best_estimator_"]
    return {name: part for name, part in state.items() if name not in NOT_LEARNED}
