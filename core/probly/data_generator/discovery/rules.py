"""What a plugin must keep to, checked when it is loaded."""

import difflib
import inspect
from typing import Any

import pluggy

from probly.data_generator import hookspecs


def new_manager() -> pluggy.PluginManager:
    """Return a manager that knows our hooks and holds no plugin."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def check_names(manager: pluggy.PluginManager, plugin: Any) -> None:
    """Refuse hooks that do not exist, which pluggy would never call.

    Raises:
        TypeError: There are some; the message suggests what they may have meant.
    """
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        known = [*hookspecs.REQUIRED, *hookspecs.DEFAULTED, *hookspecs.OPTIONAL]
        names = [caller.name for caller in manager.get_hookcallers(plugin) or [] if not caller.has_spec()]
        close = [match for name in names for match in difflib.get_close_matches(name, known, n=1)]
        message = f"{error}; did you mean {' and '.join(close)}?" if close else f"{error}; there are {', '.join(known)}"
        raise TypeError(message) from error


def check_plugin(manager: pluggy.PluginManager, plugin: Any) -> None:
    """Refuse a backend that lacks a hook or has one with arguments that are not plain.

    Raises:
        TypeError: The message names the hook.
    """
    found = implementations(manager, plugin)
    missing = set(hookspecs.REQUIRED) - {name for name, implementation in found if not wraps(implementation)}
    if missing:
        names = ", ".join(name for name in hookspecs.REQUIRED if name in missing)
        message = f"it lacks the hook {names}; decorate functions of these names with @hookimpl"
        raise TypeError(message)
    for name, implementation in found:
        check_signature(name, implementation.function)


def implementations(manager: pluggy.PluginManager, plugin: Any) -> list[tuple[str, "pluggy.HookImpl"]]:
    """Return the hooks that a registered plugin implements, by name; one of them may be there twice."""
    callers = manager.get_hookcallers(plugin) or []
    pairs = ((caller.name, implementation) for caller in callers for implementation in caller.get_hookimpls())
    return [(name, implementation) for name, implementation in pairs if implementation.plugin is plugin]


def wraps(implementation: "pluggy.HookImpl") -> bool:
    """Return whether an implementation only stands around others, in pluggy's new way or in its old one."""
    return implementation.wrapper or implementation.hookwrapper


def check_signature(name: str, function: Any) -> None:
    """Refuse an implementation of a hook whose arguments are not plain.

    Raises:
        TypeError: An argument has a default, which pluggy up to 1.6 lets silently win over the caller's value.
    """
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or parameter.default is not parameter.empty:
            message = f"hook {name}: expected plain arguments without defaults, got {parameter}; remove the default"
            raise TypeError(message)
