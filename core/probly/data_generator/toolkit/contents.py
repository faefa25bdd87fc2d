"""Looking into any object: what a model is made of, in an order that is the same in every process."""

import copyreg
import functools
import hashlib
import random
import sys
from collections.abc import Callable, Iterable, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from probly.data_generator.toolkit.functions import (
    MISSING,
    attributes,
    cell_content,
    code_parts,
    is_function,
    is_installed,
    methods,
    read_names,
    rebound,
    resolved,
)
from probly.data_generator.toolkit.nests import is_array
from probly.data_generator.toolkit.tables import is_table

Look = Callable[[Any], Any]
"""Returns the parts of an object of a framework's own, in an order that does not change (a list of values, in which
NumPy arrays and text are at the end of it); ``SKIP`` for one that says nothing about the rows, such as the state of a
random generator; or None for any other object."""

SKIP = object()
"""What a ``Look`` returns for what does not count."""

SIMPLE = (str, bytes, int, float, complex, type(None))
RANDOM = (np.random.RandomState, np.random.Generator, np.random.BitGenerator, random.Random)
"""Fitting has used them, predicting does not; one that does gives other rows each time, whatever it is recorded as."""

_NO_CYCLE = sys.maxsize


class Contents:
    """Digests one object after the other by their contents.

    Args:
        look: See ``Look``.
        digest_arrays: Returns the digest of named arrays as text.

    Attributes:
        seen: Whether anything was met that may have been learned: an array, or an object with a state.
        code: Whether a function of the user's own was met, or one with arguments of the user's.
        unseen: The types of the objects that could not be looked into.
    """

    def __init__(self, look: Look | None, digest_arrays: Callable[[Iterable[tuple[str, Any]]], str]) -> None:
        self.look = look
        self.seen = False
        self.code = False
        self.unseen: set[str] = set()
        self._digest_arrays = digest_arrays
        # What is digested stays alive, so that no other object gets its id.
        self._known: dict[int, tuple[Any, bytes]] = {}
        self._above: dict[int, int] = {}
        self._lowest = _NO_CYCLE  # the outermost object that a cycle below the current one leads back to

    def digest(self, value: Any) -> bytes:
        """Return the digest of a value; equal contents have equal digests, whether or not they share objects."""
        head = f"{_name(type(value))}:".encode()
        if isinstance(value, SIMPLE):
            return hashlib.sha256(head + repr(value).encode("utf-8", "surrogatepass")).digest()
        if id(value) in self._known:
            return self._known[id(value)][1]
        level = len(self._above)
        if id(value) in self._above:
            self._lowest = min(self._lowest, self._above[id(value)])
            return hashlib.sha256(f"{head!r} the object at level {self._above[id(value)]}".encode()).digest()
        outer, self._lowest = self._lowest, _NO_CYCLE
        self._above[id(value)] = level
        try:
            whole = hashlib.sha256(head)
            for part in self._parts(value):
                whole.update(part)
        finally:
            del self._above[id(value)]
        found = whole.digest()
        # What leads back to an object above it depends on where it was met; and copies of arrays would fill the memory.
        if self._lowest >= level and not isinstance(value, np.ndarray):
            self._known[id(value)] = value, found
        if self._lowest >= level:
            self._lowest = _NO_CYCLE
        self._lowest = min(self._lowest, outer)
        return found

    def _parts(self, value: Any) -> Iterable[bytes]:
        """Return the digests that together are the content of a value."""
        own = self.look(value) if self.look is not None else None
        if own is SKIP or isinstance(value, RANDOM):
            return []
        if own is not None:
            self.seen = True
            return [self.digest(part) for part in own]
        named = _named_parts(value)
        if named is not None:
            return named
        if isinstance(value, np.ndarray | np.generic):
            mask = [self.digest(np.ma.getmaskarray(value))] if isinstance(value, np.ma.MaskedArray) else []
            return [*mask, *self._array_parts(np.asarray(value))]
        if callable(value) and is_function(value):
            return [self.digest(part) for part in self._function_parts(value)]
        return self._nested_parts(value)

    def _nested_parts(self, value: Any) -> Iterable[bytes]:
        if isinstance(value, CodeType):
            return [self.digest(part) for part in code_parts(value)]
        if isinstance(value, Mapping):
            parts = sorted(self.digest(key) + self.digest(part) for key, part in value.items())
        elif isinstance(value, set | frozenset):
            parts = sorted(map(self.digest, value))
        elif isinstance(value, list | tuple):
            parts = list(map(self.digest, value))
        else:
            return self._object_parts(value)
        own = {} if is_installed(type(value).__module__) else getattr(value, "__dict__", {})
        if not own:
            return parts
        self.seen = True
        return [*parts, self.digest(own)]

    def _array_parts(self, array: np.ndarray[Any, Any]) -> Iterable[bytes]:
        self.seen = True
        if array.dtype.names:  # the bytes between two fields hold anything
            return [name.encode() + self.digest(np.ascontiguousarray(array[name])) for name in array.dtype.names]
        if array.dtype.hasobject:
            return [str(array.shape).encode(), *map(self.digest, array.ravel().tolist())]
        return [self._digest_arrays([("", array)]).encode()]

    def _object_parts(self, value: Any) -> Iterable[bytes]:
        """Return what pickle would store: a name, or how to make the object, of what, and its state."""
        try:
            if is_table(value):
                return [self.digest(part) for part in _table_parts(value)]
            array = _host(value) if is_array(value) or hasattr(value, "__array_interface__") else None
            if array is not None:
                return self._array_parts(array)
            pickled = pickled_parts(value)
        except Exception:  # noqa: BLE001  # a lock, an open file, a handle of a library in C
            self.unseen.add(_name(type(value)))
            return []
        if isinstance(pickled, str):
            return [self.digest(pickled)]
        if not _has_state(value, pickled):  # all that it computes with is in its code
            return [self.digest(part) for part in (*pickled, methods(type(value)))]
        self.seen = True
        return [self.digest(part) for part in pickled]

    def _function_parts(self, function: Any) -> list[Any]:
        """Return what a function computes with: its code if it is the user's own, and the objects that it refers to."""
        if isinstance(function, functools.partial):
            self.code = self.code or bool(function.args or function.keywords)
            return [function.func, function.args, function.keywords]
        if isinstance(function, MethodType):
            return [function.__func__, function.__self__]
        if isinstance(function, BuiltinFunctionType):
            owner = function.__self__
            return [function.__qualname__, None if owner is None or isinstance(owner, ModuleType) else owner]
        if not isinstance(
            function, FunctionType
        ):  # what a decorator of a library made of it, such as one that compiles
            return [function.__wrapped__]
        free = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        cells = {variable: cell_content(cell) for variable, cell in free if variable not in rebound(function.__code__)}
        if is_installed(function.__module__):  # its code differs between versions, which are no part of the identity
            return [f"{function.__module__}.{function.__qualname__}", cells]
        self.code = True
        return [
            function.__qualname__, function.__code__, function.__defaults__, function.__kwdefaults__, cells,
            self._globals(function), attributes(function),
        ]  # fmt: skip

    def _globals(self, function: FunctionType) -> dict[str, Any]:
        """Return the globals that a function reads, as far as they are numbers, arrays, functions or models.

        Of modules and classes of the user's own, what it reads there. Other objects, such as the arguments of a script
        or a logger, change without the model: they are not seen.
        """
        found = {}
        for names in read_names(function.__code__):
            value = resolved(function, names)
            if _is_plain(value) or _is_model(value):
                found[".".join(names)] = value
            elif value is not MISSING and not isinstance(value, type | ModuleType):
                self.unseen.add(f"the global {'.'.join(names)} ({type(value).__qualname__})")
        return found


def _named_parts(value: Any) -> list[bytes] | None:
    if isinstance(value, type):
        return [_name(value).encode()]
    return [value.__name__.encode()] if isinstance(value, ModuleType) else None


def _is_model(value: Any) -> bool:
    """Return whether a global is a function or a model: an object that is called, or asked to predict."""
    return not isinstance(value, type) and (callable(value) or hasattr(value, "predict_proba"))


def _is_plain(value: Any) -> bool:
    """Return whether a value is a number, a text or an array, or a nest of these, such as the weights of layers."""
    if isinstance(value, Mapping):
        return all(_is_plain(key) and _is_plain(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, (*SIMPLE, np.ndarray, np.generic)) or is_array(value) or hasattr(value, "__array__")


def _has_state(value: Any, pickled: Any) -> bool:
    """Return whether an object is more than one of its class: has attributes, items, or was made of something."""
    _, arguments, state, *items = pickled
    made_of = [one for one in arguments if one is not type(value)]
    return bool(made_of or items) or state is not None


def _name(kind: type) -> str:
    """Return the name of a class; the user's own modules are called otherwise when they are the program that runs."""
    return f"{kind.__module__}.{kind.__qualname__}" if is_installed(kind.__module__) else kind.__qualname__


def _host(value: Any) -> np.ndarray[Any, Any] | None:
    """Return an array of any library as NumPy's, or None for one of objects, such as a sparse matrix."""
    if hasattr(value, "detach"):  # maybe on another device, or with gradients
        value = value.detach().cpu()
    array = np.asarray(value)
    return None if array.dtype == object else array


def _table_parts(table: Any) -> list[Any]:
    types = [str(kind) for kind in np.atleast_1d(np.asarray(table.dtypes, dtype=object))]
    return [np.asarray(table), list(getattr(table, "columns", ())), np.asarray(table.index), types]


def pickled_parts(value: Any) -> Any:
    """Return what pickle would store of an object: its name, or how to make it, of what, its state, and its items."""
    reduce = copyreg.dispatch_table.get(type(value))
    reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
    if isinstance(reduced, str):
        return reduced
    make, arguments, state, *items = [*reduced, None][: max(len(reduced), 3)]
    return [make, arguments, state, *(list(part) for part in items[:2] if part is not None)]
