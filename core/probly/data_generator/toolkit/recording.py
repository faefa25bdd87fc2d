"""Asking a loader's sampler which rows it chose, also through loaders that wrap loaders."""

import copy
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

_MOST_WRAPPERS = 16


def is_loader(dataset: Any) -> bool:
    """Return whether an object hands out batches whose sampler can be asked for indices."""
    return hasattr(dataset, "batch_sampler") and hasattr(dataset, "dataset")


def wrapped_loader(loader: Any) -> tuple[str, Any] | None:
    """Return the attribute under which a loader keeps the loader that it reads from, and that loader; or None.

    Loaders that move batches to a device, or share them among processes, copy the settings of the one that they wrap,
    so they look like it, but never ask the sampler that is among these copies.

    Examples:
        >>> class Loader(list):
        ...     batch_sampler, dataset = [[1, 0]], "ab"
        >>> class Wrapper:
        ...     def __init__(self, loader):
        ...         self._loader = loader
        >>> wrapped_loader(Wrapper(Loader()))[0], wrapped_loader(Loader())
        ('_loader', None)
    """
    found = {
        id(value): (name, value)
        for name, value in getattr(loader, "__dict__", {}).items()
        # A dataset may well be made of a loader, but then its samples are what that hands out. A sampler is none.
        if name != "dataset" and "sampler" not in name and value is not loader and _is_read_from(value)
    }
    return next(iter(found.values())) if len(found) == 1 else None  # which of several is read is not seen


def _is_read_from(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "__iter__") and hasattr(kind, "__len__") and _own(value, "batch_sampler") and is_loader(value)


def _own(value: Any, name: str) -> bool:
    """Return whether an object has an attribute of its own, and not by asking what it wraps."""
    return name in getattr(value, "__dict__", {}) or hasattr(type(value), name)


def innermost_loader(loader: Any) -> Any:
    """Return the loader whose sampler chooses the rows: the one itself, or the one in all its wrappers; or None."""
    for _ in range(_MOST_WRAPPERS):
        found = wrapped_loader(loader)
        if found is None:
            return loader if is_loader(loader) else None
        loader = found[1]
    return None


class _RecordingSampler:
    """Keeps what a sampler chose, and chooses no row from ``stop`` on, so that no worker reads past it."""

    def __init__(self, sampler: Iterable[Any], recorded: deque[Any], stop: int | None) -> None:
        self._asked, self._recorded, self._stop = sampler, recorded, stop

    def __iter__(self) -> Iterator[Any]:
        arrived = 0
        for chosen in self._asked:
            # A NumPy or tensor scalar has __iter__, too, but is one index.
            single = not hasattr(chosen, "__iter__") or getattr(chosen, "ndim", 1) == 0
            kept = chosen if single else list(chosen)
            if self._stop is not None and not single:
                if in_order_of_arrival(kept):
                    if arrived >= self._stop:  # it counts without end
                        return
                    kept = kept[: self._stop - arrived]
                    arrived += len(kept)
                else:
                    kept = [index for index in kept if index < self._stop]
                    if not kept:
                        continue
            self._recorded.append(kept)
            yield kept

    def __len__(self) -> int:
        return len(self._asked)  # type: ignore[arg-type]  # asked only where the loader's own sampler has a length

    def __getattr__(self, name: str) -> Any:
        # Loaders and what wraps them ask a sampler for its settings, or tell it the epoch.
        if name == "_asked":  # while it is copied
            raise AttributeError(name)
        return getattr(self._asked, name)


def in_order_of_arrival(chosen: Any) -> bool:
    """Return whether a sampler counts only, as the one of an iterable dataset does: it has no indices to give."""
    return chosen is None or (isinstance(chosen, list) and bool(chosen) and chosen[0] is None)


def _twin_of(loader: Any) -> Any:
    """Return a shallow copy, also of a wrapper whose ``__getattr__`` would go round in circles while it is empty."""
    kind = type(loader)
    if hasattr(kind, "__copy__") or not hasattr(loader, "__dict__"):
        return copy.copy(loader)
    try:
        twin = object.__new__(kind)
    except TypeError:  # a built-in type with memory of its own
        return copy.copy(loader)
    vars(twin).update(vars(loader))
    return twin


def record_indices(loader: Any, stop: int | None = None) -> tuple[Any, deque[Any]]:
    """Return a twin of a loader and the queue to which its sampler's choices will be appended, batch by batch.

    The twin shares the dataset and all settings; the caller's loader, its workers and its iterator are not touched.
    """
    twin = _twin_of(loader)
    settings = vars(twin)
    wrapped = wrapped_loader(loader)
    if wrapped is not None:
        name, inner = wrapped
        settings[name], recorded = record_indices(inner, stop)
        return twin, recorded
    recorded = deque()
    which = "sampler" if loader.batch_sampler is None else "batch_sampler"
    settings[which] = _RecordingSampler(getattr(loader, which), recorded, stop)
    # in_order=False would let batches overtake each other; persistent workers would outlive the twin.
    for name, value in {"in_order": True, "persistent_workers": False, "_iterator": None}.items():
        if name in settings:
            settings[name] = value
    return twin, recorded
