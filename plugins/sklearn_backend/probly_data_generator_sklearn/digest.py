"""Telling fitted estimators apart: a digest of all that predictions depend on, the same in every process."""

from collections.abc import Mapping
from types import MethodType
from typing import Any

import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.neighbors import BallTree, KDTree

from probly.data_generator.toolkit.contents import pickled_parts
from probly.data_generator.toolkit.digest import digest_state
from probly.data_generator.toolkit.functions import is_installed

NOT_LEARNED = frozenset({"n_jobs", "verbose", "memory", "pre_dispatch", "_sklearn_version", "_stop_words_id"})
"""The attributes of an estimator that say how to compute, not what; the last one is an address in memory."""


def digest_of_fitted(source: Any) -> str:
    """Return the digest of an estimator's parameters and fitted attributes; see ``toolkit.digest.digest_state``.

    The counters of neighbour trees, and the times and scores of a search next to its best estimator, do not count.

    Examples:
        >>> digest_of_fitted(len)
        'not seen'
    """
    return digest_state(source.__self__ if isinstance(source, MethodType) else source, parts_of)


def parts_of(value: Any) -> Any:
    """Return the parts of an estimator, a sparse matrix or a tree of neighbours; see ``toolkit.contents.Look``."""
    if scipy.sparse.issparse(value):
        rowwise = value.tocsr()
        return [rowwise.shape, rowwise.data, rowwise.indices, rowwise.indptr]
    if isinstance(value, KDTree | BallTree):  # what it was made of; the rest is computed from it, and counts calls
        data, *_, metric, weights = value.__getstate__()
        return [data, metric, weights]
    if isinstance(value, BaseEstimator) and is_installed(type(value).__module__):
        make, arguments, state, *items = pickled_parts(value)
        return [make, arguments, _learned(state), *items]
    return None  # of an estimator of the user's own every attribute may count


def _learned(state: Any) -> Any:
    if not isinstance(state, Mapping):
        return state
    if "best_estimator_" in state:  # a search predicts with it alone; the rest are times and scores
        return state["best_estimator_"]
    return {name: part for name, part in state.items() if name not in NOT_LEARNED}
