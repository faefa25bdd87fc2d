"""Loaders that another object reads from: which rows they take, as far as their sampler tells without being used up."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np

_LOADERS: Final = (("dataset", "batch_sampler", "num_workers"), ("_dataset", "_index_sampler", "_num_workers"))
"""What loaders, and the iterators over them, call the dataset, the sampler of batches, and the number of workers."""


def fault_of_loader(step: Any) -> str | None:
    """Return why the rows of a loader have another place than in its dataset, or None; other objects have no fault.

    Examples:
        >>> from types import SimpleNamespace
        >>> fault_of_loader(SimpleNamespace(dataset=range(4), batch_sampler=[[2, 3], [0, 1]]))
        'SimpleNamespace takes its rows in another order, or leaves some out'
        >>> fault_of_loader(SimpleNamespace(dataset=range(4), batch_sampler=[[0, 1], [2, 3]])) is None
        True
    """
    for dataset, batch_sampler, workers in _LOADERS:
        has = vars(step) if hasattr(step, "__dict__") else {}
        if dataset in has and (batch_sampler in has or hasattr(type(step), batch_sampler)):
            sampler = getattr(step, batch_sampler)
            return _fault_of_sampler(step, getattr(step, "sampler", None) if sampler is None else sampler, workers)
    return None


def _fault_of_sampler(loader: Any, sampler: Any, workers: str) -> str | None:
    name = type(loader).__name__.strip("_")
    if not hasattr(sampler, "__iter__") or any(map(_is_read_once, (sampler, getattr(sampler, "sampler", None)))):
        return None
    try:
        chosen = list(islice(_indices(sampler), 1))
        if chosen and chosen[0] is None:  # it counts only
            several = getattr(loader, workers, 0)
            return f"{name} with {several} workers that each read an iterable dataset" if several > 1 else None
        # One of several loaders that are read after each other may begin anywhere.
        in_order = all(index == place for place, index in enumerate(_indices(sampler), *chosen))
    except Exception:  # noqa: BLE001  # it will say so itself when it is read
        return None
    return None if in_order else f"{name} takes its rows in another order, or leaves some out"


def _is_read_once(sampler: Any) -> bool:
    return hasattr(type(sampler), "__next__")


def _indices(sampler: Any) -> Iterator[Any]:
    """Yield the indices that a sampler of batches, or of single rows, chooses; None where it only counts."""
    for chosen in sampler:
        yield from chosen if np.ndim(chosen) else (chosen,)
