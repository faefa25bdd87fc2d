"""Modules that are told one by one: what is random is active, what is to be kept is noted down.

Libraries have one switch for all layers, and with it batch normalisation learns, too. So the calls of the modules in a
model go through a ``Teller`` while it is traced.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import Any

import jax

from probly.data_generator.toolkit.calling import signature_of
from probly.data_generator.toolkit.outputs import Kept, describe
from probly_data_generator_jax.arrays import is_array

MEMBERS = "let the model return its members, shape (rows, members, classes), and set members=True"
MOST_NAMES = 20

Told = Callable[[Any], Mapping[str, bool]]


class Teller:
    """What the calls of a model's modules go through.

    Args:
        told: Returns the arguments that a module is called with, where its call has them.
        layers: The names of the modules whose answers are kept.
        names: Those of all modules, by ``id``.
    """

    def __init__(self, told: Told, layers: Sequence[str], names: Mapping[int, str]) -> None:
        self._told, self._names = told, names
        self._found: dict[str, list[Any]] = {name: [] for name in layers}

    def call(self, module: Any, call: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """Return what a module answers.

        Args:
            module: The module.
            call: Its method, bound to it.
            args: What it was called with.
            named: Likewise.
        """
        told = self._told(module)
        takes = signature_of(call) if told else None
        told = {} if takes is None else {name: value for name, value in told.items() if name in takes.parameters}
        if takes is not None and told:
            given = takes.bind(*args, **named)
            given.arguments.update(told)
            args, named = given.args, given.kwargs
        answer = call(*args, **named)
        self._found.get(self._names.get(id(module), ""), []).append(answer)
        return answer

    def layers(self) -> dict[str, Any]:
        """Return what was noted down.

        Raises:
            ValueError: A module was called more or less often than once, or answered with several arrays.
        """
        for name, answers in self._found.items():
            if len(answers) != 1:
                where = "" if answers else ", or within another transformation (scan, remat, jit)"
                message = (
                    f"keep: the layer {name!r} is called {len(answers)} times per batch{where}; keep one that is "
                    "called once, such as the one around it"
                )
                raise ValueError(message)
            if not is_array(answers[0]):
                message = f"keep: the layer {name!r} returns {describe(answers[0])}, not one array; keep another one"
                raise ValueError(message)
        return {name: answers[0] for name, answers in self._found.items()}

    def with_layers(self, outputs: Any) -> Any:
        """Return the outputs of a model, with its layers where some are to be kept."""
        layers = self.layers()
        return Kept(outputs, layers) if layers else outputs


_TELLER: ContextVar[Teller] = ContextVar("the teller of the modules that are being called")


@functools.cache  # jax knows each class of a module for good
def _class_that_asks(kind: Any) -> Any:
    @functools.wraps(kind.__call__)
    def __call__(self: Any, *args: Any, **named: Any) -> Any:  # noqa: N807
        call = functools.partial(kind.__call__, self)
        teller = _TELLER.get(None)
        return call(*args, **named) if teller is None else teller.call(self, call, args, named)

    return type(kind)(kind.__name__, (kind,), {"__call__": __call__, "__module__": kind.__module__})


def ask(module: Any) -> None:
    """Let the calls of a module, which nobody else has, go through the teller of the time."""
    kind: Any = type(module)
    object.__setattr__(module, "__class__", _class_that_asks(kind))


@contextmanager
def telling(teller: Teller) -> Iterator[None]:
    """Let modules ask this teller for as long as the block runs."""
    token = _TELLER.set(teller)
    try:
        yield
    finally:
        _TELLER.reset(token)


@functools.cache
def draws(kind: Any) -> bool:
    """Return whether the code of a class that is none of a library's draws random numbers itself.

    Examples:
        >>> class DropPath:
        ...     def __call__(self, inputs, key):
        ...         return inputs * jax.random.bernoulli(key)
        >>> draws(DropPath), draws(int)
        (True, False)
    """
    libraries = ("flax", "jax", "builtins")
    own = (one for one in kind.__mro__ if one.__module__.partition(".")[0] not in libraries)
    functions = (inspect.unwrap(value) for one in own for value in vars(one).values() if callable(value))
    return any(
        not {"random", "make_rng"}.isdisjoint(function.__code__.co_names)
        for function in functions
        if isinstance(function, FunctionType)
    )


def check_names(layers: Iterable[str], there: Iterable[str]) -> None:
    """Refuse names of layers that a model does not have.

    Raises:
        ValueError: The message lists those that there are.
    """
    known = list(there)
    for name in layers:
        if name not in known:
            more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
            shown = ", ".join(map(repr, known[:MOST_NAMES]))
            message = f"keep: the model has no layer {name!r}; it has {shown}{more}"
            raise ValueError(message)


def with_key(function: Callable[..., Any], key: jax.Array, called: Any = None) -> Callable[..., Any]:
    """Return a function that has its argument ``key`` or ``rng``, whether it is its first one or not.

    Args:
        function: The function.
        key: The random key.
        called: What it passes its arguments on to, if it shows none of its own.

    Raises:
        ValueError: It has none.

    Examples:
        >>> with_key(lambda key, x: (key, x), 3)(4), with_key(lambda x, *, rng=None: (rng, x), 3)(4)
        ((3, 4), (3, 4))
    """
    takes = signature_of(function if called is None else called)
    names = [] if takes is None else [name for name in ("key", "rng") if name in takes.parameters]
    if takes is None or not names:
        message = (
            "passes: the model has no argument called key or rng, through which it would get the random key of a pass; "
            f"give it one, or {MEMBERS}"
        )
        raise ValueError(message)
    first = next(iter(takes.parameters.values()))
    if called is None and first.name == names[0] and first.kind is not first.KEYWORD_ONLY:
        return functools.partial(function, key)
    return functools.partial(function, **{names[0]: key})
