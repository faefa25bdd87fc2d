"""Functions: which of them are the user's own, what they read, and what they are made of."""

import functools
import inspect
import os
import sys
import sysconfig
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

READS = ("LOAD_ATTR", "LOAD_METHOD")
"""How Python's compiler calls the reading of an attribute."""

MISSING = object()
"""What stands for a name that there is not."""


@functools.cache
def is_installed(module: str | None) -> bool:
    """Return whether a module is Python's own or of an installed distribution, not the user's code.

    Examples:
        >>> is_installed("json"), is_installed("numpy.linalg"), is_installed("my_model")
        (True, True, False)
    """
    root = (module or "").partition(".")[0]
    if root in sys.stdlib_module_names or root == "builtins":
        return True
    file = getattr(sys.modules.get(module or ""), "__file__", None)
    places = {os.path.realpath(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    return file is not None and any(os.path.realpath(file).startswith(place + os.sep) for place in places)


def is_function(value: Any) -> bool:
    """Return whether a value is a function, or what a decorator of a library made of one."""
    kinds = (FunctionType, BuiltinFunctionType, MethodType, functools.partial)
    return isinstance(value, kinds) or (callable(value) and isinstance(getattr(value, "__wrapped__", None), kinds))


def cell_content(cell: Any) -> Any:
    """Return what a variable of a closure holds; None if it has not been bound yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _nested(code: CodeType) -> list[CodeType]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return [code, *(deeper for one in inner for deeper in _nested(one))]


def resolved(function: FunctionType, names: tuple[str, ...]) -> Any:
    """Return what a function reads by dotted names, of which all but the last are modules and classes of the user's."""
    value = function.__globals__.get(names[0], MISSING)
    for name in names[1:]:
        own = isinstance(value, type | ModuleType) and not is_installed(getattr(value, "__module__", value.__name__))
        value = inspect.getattr_static(value, name, MISSING) if own else MISSING
    return value


def attributes(function: FunctionType) -> dict[str, Any]:
    """Return the attributes of a function, such as the weights that somebody has put there, but those that it sets."""
    return {name: value for name, value in vars(function).items() if name not in _set_names(function.__code__)}


def methods(kind: type) -> list[Any]:
    """Return the functions of a class of the user's own, and those of its bases, by name."""
    own = [one for one in kind.__mro__ if not is_installed(one.__module__)]
    return [{name: part for name, part in vars(one).items() if isinstance(part, FunctionType)} for one in own]


def _steps(code: CodeType) -> Iterator[tuple[str, Any]]:
    import dis  # noqa: PLC0415  # only where a function is looked into

    return ((step.opname, step.argval) for one in _nested(code) for step in dis.get_instructions(one))


@functools.cache
def rebound(code: CodeType) -> frozenset[str]:
    """Return the names outside of a function that it binds anew itself: they count its calls, or keep a cache."""
    return frozenset(name for step, name in _steps(code) if step in ("STORE_GLOBAL", "STORE_DEREF"))


@functools.cache
def _set_names(code: CodeType) -> frozenset[str]:
    """Return the attributes that a function sets, likewise."""
    return frozenset(name for step, name in _steps(code) if step == "STORE_ATTR")


@functools.cache
def read_names(code: CodeType) -> list[tuple[str, ...]]:
    """Return the dotted names of the globals that a function reads: ``settings`` and ``settings.scale``."""
    found: set[tuple[str, ...]] = set()
    names: tuple[str, ...] = ()
    for step, name in _steps(code):
        names = (name,) if step == "LOAD_GLOBAL" else (*names, name) if names and step in READS else ()
        if names and names[0] not in rebound(code) and not _set_names(code).intersection(names[1:]):
            found.add(names)
    return sorted(found)


def code_parts(code: CodeType) -> list[Any]:
    """Return what a function does, without the place where it is written."""
    return [code.co_code, code.co_names, code.co_varnames, [_in_order(constant) for constant in code.co_consts]]


def _in_order(constant: Any) -> Any:
    return sorted(constant, key=repr) if isinstance(constant, frozenset) else constant
