"""Compiled programs that outlive a run.

What a function closes over may have changed since the last run, so every run traces it again, which takes about a
millisecond. Compiling takes a hundred times as long, and is done only where the trace differs. The arrays that a
function closes over are arguments of the program, so that new weights do not make a new one.
"""

import weakref
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax

from probly_data_generator_jax.devices import Placement
from probly_data_generator_jax.jaxprs import UnknownParameterError, signature

MOST_PROGRAMS = 16
"""Programs kept per model: one per output mode and shape of a batch."""

_KEPT: dict[int, dict[Hashable, Callable[..., Any]]] = {}


class Setting(NamedTuple):
    """What else makes another program of the same trace."""

    placement: Placement
    donate: bool


class Bound(NamedTuple):
    """A program with what one trace found.

    Attributes:
        program: Called with the constants, the weights and the inputs, each flat.
        constants: What the function closed over, on the device.
        structure: That of the outputs.
    """

    program: Callable[..., Any]
    constants: list[Any]
    structure: Any

    def __call__(self, weights: list[Any], inputs: list[Any]) -> Any:
        """Run one batch."""
        outputs = self.program(self.constants, weights, inputs)
        return jax.tree.unflatten(self.structure, outputs)


def bound(
    function: Callable[..., Any], weights: Any, inputs: Any, source: Any, placement: Placement, *, donate: bool = False
) -> Bound:
    """Trace a function of weights and inputs and return the program for it, compiled before if it is the same.

    Args:
        function: What to trace.
        weights: A pytree of arrays.
        inputs: A pytree of arrays and numbers.
        source: The user's model; programs are forgotten when it is.
        placement: Where it runs.
        donate: Whether XLA may put the outputs where the inputs are.
    """
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(weights, inputs)
    program = _program(traced, source, Setting(placement, donate))
    return Bound(program, placement.replicate(traced.consts), jax.tree.structure(shapes))


def _program(traced: Any, source: Any, setting: Setting) -> Callable[..., Any]:
    try:
        key = (setting, signature(traced))
    except UnknownParameterError:
        return _jitted(traced.jaxpr, setting)
    kept = _programs_of(source)
    program = kept.pop(key, None) or _jitted(traced.jaxpr, setting)
    kept[key] = program  # the last one used is the last one dropped
    if len(kept) > MOST_PROGRAMS:
        del kept[next(iter(kept))]
    return program


def _jitted(jaxpr: Any, setting: Setting) -> Callable[..., Any]:
    def step(constants: list[Any], weights: list[Any], inputs: list[Any]) -> Any:
        return jax.core.eval_jaxpr(jaxpr, constants, *weights, *inputs)

    # jax.jit, rather than a program compiled here once and for all: it knows which settings of jax matter.
    donated = 2 if setting.donate else ()
    return jax.jit(step, in_shardings=setting.placement.single(), donate_argnums=donated)


def _programs_of(source: Any) -> dict[Hashable, Callable[..., Any]]:
    # By identity: modules may compare by their weights, or not at all.
    if id(source) not in _KEPT:
        try:
            weakref.finalize(source, _KEPT.pop, id(source), None).atexit = False
        except TypeError:  # it cannot be watched, so its id might come to mean another model
            return {}
        _KEPT[id(source)] = {}
    return _KEPT[id(source)]
