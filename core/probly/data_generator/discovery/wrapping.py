"""Wrapper plugins: what stands around a backend's hooks, by the user's choice and never by itself."""

import inspect
from collections.abc import Sequence
from typing import Any

import pluggy

from probly.data_generator.discovery.listing import WRAPPERS, blaming, claims, single_claim
from probly.data_generator.discovery.rules import check_names, check_signature, implementations, wraps


def register_wrappers(manager: pluggy.PluginManager, wrappers: Sequence[Any]) -> tuple[Any, ...]:
    """Register wrapper plugins around a backend, the last one outermost, and return them.

    Args:
        manager: Holds the backend.
        wrappers: Each one is the name of an entry point of the group ``probly.data_generator.wrappers``, or a module
            or object with hooks. A class or another callable is called with the manager's hooks and returns such an
            object: a fresh one for every generator. Each of its hooks is either ``@hookimpl(wrapper=True)``, or
            ``@hookimpl(tryfirst=True)``: then it answers before the backend, or passes with None.

    Raises:
        TypeError: One would replace a hook, has none, or names one that does not exist.
        UnknownBackendError: No installed wrapper has the name.
        AmbiguousBackendError: Two distributions claim the name.
        BrokenBackendError: The named wrapper cannot be imported.
    """
    plugins = tuple(_made(wrapper, manager.hook) for wrapper in wrappers)
    for plugin in plugins:
        _register(manager, plugin)
    return plugins


def _made(wrapper: Any, hook: Any) -> Any:
    if isinstance(wrapper, str):
        wrapper = _load(wrapper)
    return wrapper(hook) if callable(wrapper) else wrapper


def _load(name: str) -> Any:
    info = single_claim(name, claims(WRAPPERS), ("wrapper", "wrapper"))
    with blaming(info, f"wrapper {name!r}"):
        return info.entry_point.load()


def _register(manager: pluggy.PluginManager, wrapper: Any) -> None:
    try:
        manager.register(wrapper)
        check_names(manager, wrapper)
        found = implementations(manager, wrapper)
        for name, implementation in found:
            check_signature(name, implementation.function)
    except (pluggy.PluginValidationError, TypeError, ValueError) as error:
        message = f"wrapper {wrapper!r} does not fit the hooks: {error}"
        raise TypeError(message) from error
    if not found:
        kind = "module" if inspect.ismodule(wrapper) else type(wrapper).__name__
        message = f"wrapper {wrapper!r}: expected hooks with @hookimpl(wrapper=True), got a {kind} without any"
        raise TypeError(message)
    for name, implementation in found:
        if not wraps(implementation) and not implementation.tryfirst:
            message = (
                f"wrapper {wrapper!r} would replace the hook {name}; use @hookimpl(wrapper=True), or "
                "@hookimpl(tryfirst=True) to answer before the backend or pass with None"
            )
            raise TypeError(message)
