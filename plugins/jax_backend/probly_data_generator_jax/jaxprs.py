"""When two traces of a function are the same program: compared by all that can change what is compiled."""

import enum
import hashlib
from collections.abc import Hashable
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

# What these hold says how to differentiate, and is made anew by each trace.
_DERIVATIVES = {
    "custom_jvp_call": {"jvp_jaxpr_fun"},
    "custom_vjp_call": {"fwd_jaxpr_thunk", "bwd"},
    "custom_vjp_call_jaxpr": {"fwd_jaxpr_thunk", "bwd"},
}
_VALUES = (str, bytes, bool, int, type(None), np.dtype, enum.Enum, type)


class UnknownParameterError(Exception):
    """A trace holds something of which nobody can say whether it is the same."""


class _Same:
    """An immutable array, equal to itself alone."""

    def __init__(self, array: jax.Array) -> None:
        self.array = array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.array is other.array

    def __hash__(self) -> int:
        return id(self.array)


def signature(traced: ClosedJaxpr) -> Hashable:
    """Return a key that two traces share only if they compute the same from their constants and arguments.

    The constants of the outermost level are left out: they are arguments of the compiled program. Those of inner
    levels, where ``jax.jit`` put them, are compared.

    Raises:
        UnknownParameterError: The trace calls back into Python or holds an object that is not known to be immutable.

    Examples:
        >>> def trace(factor):
        ...     return signature(jax.make_jaxpr(lambda x: jax.nn.relu(x) * factor)(np.ones(2)))
        >>> trace(2.0) == trace(2.0), trace(2.0) == trace(3.0)
        (True, False)
    """
    return _jaxpr(traced.jaxpr)


def _jaxpr(jaxpr: Jaxpr) -> Hashable:
    numbers: dict[Any, int] = {}

    def defined(variable: Any) -> Hashable:
        # Names differ from trace to trace, the order of definitions does not.
        numbers[variable] = len(numbers)
        return _aval(variable.aval)

    def used(atom: Any) -> Hashable:
        return (_aval(atom.aval), _bytes(atom.val)) if isinstance(atom, Literal) else numbers[atom]

    begin = tuple(map(defined, (*jaxpr.constvars, *jaxpr.invars)))
    equations = tuple(
        (
            equation.primitive,
            tuple(map(used, equation.invars)),
            _params(equation),
            tuple(map(defined, equation.outvars)),
        )
        for equation in jaxpr.eqns
    )
    return begin, equations, tuple(map(used, jaxpr.outvars))


def _aval(aval: Any) -> Hashable:
    return str(aval), getattr(aval, "weak_type", False), getattr(aval, "sharding", None)


def _bytes(value: Any) -> Hashable:
    array = np.asarray(value)
    return array.shape, str(array.dtype), hashlib.sha256(array.tobytes()).digest()


def _params(equation: Any) -> Hashable:
    name = equation.primitive.name
    if "callback" in name:  # what it calls is compiled in by its address
        raise UnknownParameterError(name)
    ignored = _DERIVATIVES.get(name, ())
    return tuple((key, _value(value)) for key, value in sorted(equation.params.items()) if key not in ignored)


def _value(value: Any) -> Hashable:
    if isinstance(value, ClosedJaxpr):
        return _jaxpr(value.jaxpr), tuple(_Same(c) if isinstance(c, jax.Array) else _bytes(c) for c in value.consts)
    if isinstance(value, Jaxpr):
        return _jaxpr(value)
    if isinstance(value, tuple | list):
        return type(value), tuple(map(_value, value))
    if isinstance(value, dict):
        return dict, tuple((key, _value(part)) for key, part in value.items())
    if isinstance(value, _VALUES) or _is_frozen(value):
        return type(value), value  # with the type, since 1 == True
    if isinstance(value, float | complex | np.ndarray | np.generic):
        return type(value), _bytes(value)  # 0.0 == -0.0
    raise UnknownParameterError(type(value).__name__)


def _is_frozen(value: Any) -> bool:
    """Return whether a value is one of jax's own descriptions: a mesh, a sharding, a layout."""
    if type(value).__module__.partition(".")[0] not in ("jax", "jaxlib"):
        return False
    # Other callables hold functions, whose meaning may change with what these close over.
    return isinstance(value, Hashable) and (not callable(value) or isinstance(value, jax.sharding.Mesh))
