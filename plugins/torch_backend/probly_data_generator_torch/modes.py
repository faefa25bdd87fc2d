"""Dropout and batch statistics: off while a model runs, and afterwards as they were found."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

import torch


@dataclass
class _Use:
    """How many runs are inside a module right now, and the mode that it had before the first."""

    training: bool
    runs: int = 0


# Generators in several threads may share a model, or a part of it. An entry lives while a run is inside the module.
_USES: dict[torch.nn.Module, _Use] = {}
_LOCK = threading.Lock()


def evaluating(
    module: torch.nn.Module, parts: list[torch.nn.Module], *, long: bool = False
) -> contextlib.AbstractContextManager[None]:
    """Hold a module in evaluation mode; the last of several runs that overlap restores the mode of each part.

    Args:
        module: The model.
        parts: ``list(module.modules())``, which takes longer than a small model's batch.
        long: Whether it will be held for several batches. Others may come and go meanwhile, and must know of it, even
            if all is in evaluation mode: the train() with which they leave reaches into what they share.
    """
    if long:
        return _held(module, parts)
    with _LOCK:
        # Once per batch, so without a function call per part.
        modes = [getattr(part, "training", False) for part in parts]
        if not any(modes) and (not _USES or _USES.keys().isdisjoint(parts)):
            return _NOTHING
    return _held(module, parts)


_NOTHING = contextlib.nullcontext()


@contextlib.contextmanager
def _held(module: torch.nn.Module, parts: list[torch.nn.Module]) -> Iterator[None]:
    entered: list[torch.nn.Module] = []  # not all of them, if Ctrl-C comes between
    try:
        with _LOCK:
            for part in parts:
                _USES.setdefault(part, _Use(_trains(part))).runs += 1
                entered.append(part)
            if any(map(_trains, parts)):
                module.eval()
        yield
    finally:
        with _LOCK:
            _leave(module, entered)


def _trains(part: torch.nn.Module) -> bool:
    return bool(getattr(part, "training", False))  # a frozen TorchScript module has no mode


def _leave(module: torch.nn.Module, parts: list[torch.nn.Module]) -> None:
    released = {}
    for part in parts:
        _USES[part].runs -= 1
        if not _USES[part].runs:
            released[part] = _USES.pop(part).training
    if any(released.values()):
        _train(module, released)
        for part, training in released.items():
            if _trains(part) != training:
                part.training = training


def _train(module: torch.nn.Module, released: dict[torch.nn.Module, bool]) -> None:
    """Call train() on what no other run is inside of: layers that merge weights in eval() undo it there."""
    if released.keys() >= set(module.modules()):
        module.train(released[module])
        return
    for child in module.children():
        _train(child, released)


def module_behind(function: Any) -> torch.nn.Module | None:
    """Return the Module that a bound method, a partial or a decorated one of these calls, or None if none is seen.

    Examples:
        >>> layer = torch.nn.Dropout()
        >>> module_behind(functools.partial(layer.forward)) is layer
        True
        >>> module_behind(lambda inputs: layer(inputs)) is None
        True
    """
    modules = list(dict.fromkeys(_modules_behind(function)))
    # Several: functools.partial(torch.func.functional_call, first, ...) may name more than one.
    return modules[0] if len(modules) == 1 else torch.nn.ModuleList(modules) if modules else None


def _modules_behind(function: Any) -> Iterator[torch.nn.Module]:
    if isinstance(function, torch.nn.Module):
        yield function
    elif isinstance(function, functools.partial):
        for part in (function.func, *function.args, *function.keywords.values()):
            yield from _modules_behind(part)
    elif isinstance(function, MethodType):
        yield from _modules_behind(function.__self__)
    elif isinstance(function, FunctionType) and hasattr(function, "__wrapped__"):
        yield from _modules_behind(function.__wrapped__)
