"""Dropout and batch statistics: off while a model runs, and afterwards as they were found."""

import contextlib
import functools
import inspect
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


# Generators in several threads may share a model, or a part of it. An entry lives while a run is inside the module,
# also if that is in evaluation mode anyway: the train() with which others leave reaches into what they share.
_USES: dict[torch.nn.Module, _Use] = {}
_ALONE: set[torch.nn.Module] = set()
_LOCK = threading.Condition()


@contextlib.contextmanager
def evaluating(module: torch.nn.Module, parts: list[torch.nn.Module], *, alone: bool = False) -> Iterator[None]:
    """Hold a module in evaluation mode; the last of several runs that overlap restores the mode of each part.

    Args:
        module: The model.
        parts: ``list(module.modules())``, which takes longer than a small model's batch.
        alone: Whether runs in other threads have to wait until this one has left, as it waits for them.
    """
    entered: list[torch.nn.Module] = []  # not all of them, if Ctrl-C comes between
    try:
        with _LOCK:
            _LOCK.wait_for(lambda: not any(part in _ALONE or (alone and part in _USES) for part in parts))
            for part in parts:
                if alone:
                    _ALONE.add(part)
                _USES.setdefault(part, _Use(_trains(part))).runs += 1
                entered.append(part)
            if any(map(_trains, parts)):
                _switch(module, training=False)
        yield
    except BaseException as first:
        try:
            _leave(module, entered)
        except Exception as second:  # noqa: BLE001  # train() of the user's own; the first error tells more
            first.add_note(f"and the mode of the model could not be restored: {type(second).__name__}: {second}")
        raise
    else:
        _leave(module, entered)


def _trains(part: torch.nn.Module) -> bool:
    return bool(getattr(part, "training", False))  # a frozen TorchScript module has no mode


def _leave(module: torch.nn.Module, parts: list[torch.nn.Module]) -> None:
    with _LOCK:
        released = {}
        for part in parts:
            _USES[part].runs -= 1
            if not _USES[part].runs:
                released[part] = _USES.pop(part).training
        _ALONE.difference_update(parts)
        _LOCK.notify_all()
        if not any(released.values()):
            return
        try:
            _restore(module, released)
        finally:
            for part, training in released.items():
                if _trains(part) != training:
                    part.training = training


def _restore(module: torch.nn.Module, released: dict[torch.nn.Module, bool]) -> None:
    """Call train() on what no other run is inside of: layers that merge weights in eval() undo it there."""
    if released.keys() >= set(module.modules()):
        _switch(module, training=released[module])
        return
    for child in module.children():
        _restore(child, released)


def _switch(module: torch.nn.Module, *, training: bool) -> None:
    """Do what ``module.train(training)`` does, but call no train() that means something else, such as fitting."""
    own = type(module).train
    if own is not torch.nn.Module.train and _takes_a_mode(own):
        try:
            module.train(training)
        except NotImplementedError:  # it refuses to have a mode; its parts may have one all the same
            pass
        else:
            return
    if hasattr(module, "training"):
        module.training = training
    for child in module.children():
        _switch(child, training=training)


@functools.cache
def _takes_a_mode(train: Any) -> bool:
    """Return whether a method has one argument, as torch's own, and that is a mode: by its name and as true or false.

    Examples:
        >>> _takes_a_mode(torch.nn.Module.train), _takes_a_mode(lambda self, data, epochs=3: self)
        (True, False)
        >>> _takes_a_mode(lambda self, verbose=True: self), _takes_a_mode(lambda self, mode="fast": self)
        (False, False)
    """
    try:
        parameters = list(inspect.signature(train).parameters.values())
    except (TypeError, ValueError):  # built in
        return True
    if len(parameters) != 2 or parameters[1].kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        return False
    mode = parameters[1]
    means_one = any(word in mode.name for word in ("mode", "train"))
    empty = inspect.Parameter.empty
    return means_one and (mode.default is True or (mode.default is empty and mode.annotation in (empty, bool, "bool")))


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
