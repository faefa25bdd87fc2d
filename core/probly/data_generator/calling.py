"""Calling a hook with the least in between."""

from collections.abc import Callable
from typing import Any


def direct(caller: Any) -> Callable[..., Any]:
    """Return a function that calls a hook by keywords: without pluggy in between where there is nothing to wrap.

    pluggy takes about 2 microseconds a call, and a run calls three hooks per batch: a third of what a linear model's
    batch takes.

    Args:
        caller: An attribute of a manager's ``hook``.
    """
    hooks = caller.get_hookimpls()
    if len(hooks) != 1 or hooks[0].wrapper or hooks[0].hookwrapper:
        return caller  # type: ignore[no-any-return]  # pluggy's callers are callable
    function, names = hooks[0].function, hooks[0].argnames
    # pluggy calls by position, and a decorator may know no other way.
    if set(names) == set(caller.spec.argnames) and not hasattr(function, "__wrapped__"):
        return function  # type: ignore[no-any-return]

    def call(**arguments: Any) -> Any:
        return function(*[arguments[name] for name in names])

    return call
