"""The model, compiled by ``jax.jit`` where it can be traced, and called over batches of one size."""

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probly.data_generator.toolkit.nests import as_lists
from probly.data_generator.toolkit.outputs import Kept, call_padded, pick_scores
from probly_data_generator_jax.arrays import Placement, is_array

# What jax raises when a function asks for the value of an array while it is traced.
TRACING_ERRORS = (jax.errors.JAXTypeError, jax.errors.JAXIndexError)

NUMBERS = (bool, int, float, complex)
CONSTANTS = (*NUMBERS, str, bytes)

Function = Callable[..., Any]
"""Weights, the inputs of a batch and, of a pass, its seed, to outputs or ``Kept``."""


class JaxModel:
    """What ``load_model`` returns.

    Args:
        function: See ``Function``.
        weights: A pytree of arrays; arguments of the compiled function, so that none becomes a constant of it.
        placement: Where it runs.
        source: The user's model, which is only read.
        compiled: Whether the function is compiled already, and is called as it is.
        donate: Whether XLA may put the outputs of a batch where its inputs are.

    Attributes:
        device: The name of the device.
        weights: The weights on the device.
        is_current: Says whether the user's model still has the weights that these were copied from.
    """

    is_current: Callable[[], bool]

    def __init__(
        self,
        function: Function,
        weights: Any,
        placement: Placement,
        source: Any,
        *,
        compiled: bool = False,
        donate: bool = False,
    ) -> None:
        self.placement = placement
        self.device = placement.name
        self.weights = placement.replicate(weights)
        self.source = source
        # Flat, and once for all batches: modules flatten in Python.
        self._leaves, structure = jax.tree.flatten(self.weights)

        # A function of its own for each model that is loaded: jax.jit remembers what it compiled by the function, and
        # what the user's closes over may have changed since the last run.
        def call(leaves: list[Any], inputs: Any, seed: Any) -> Any:
            return function(jax.tree.unflatten(structure, leaves), inputs, seed)

        def traced(leaves: list[Any], inputs: Any, cut: bool, seed: Any) -> Any:
            outputs = call(leaves, inputs, seed)
            outputs, layers = (outputs.outputs, outputs.layers) if isinstance(outputs, Kept) else (outputs, {})
            # Only what is used need leave the program: XLA does not compute the rest.
            return pick_scores(outputs) if cut else jax.tree.map(_boxed, outputs), layers

        self.donate = donate
        self._call = call
        self._jitted: Callable[..., Any] | None = None
        if not compiled:
            self._jitted = jax.jit(traced, static_argnums=2, donate_argnums=1 if donate else ())

    @property
    def channels(self) -> str | None:
        """The order of a picture's axes, for the command line; a plain function does not tell."""
        roots = {kind.__module__.partition(".")[0] for kind in type(self.source).__mro__}
        return "first" if "equinox" in roots else "last" if roots & {"flax", "keras"} else None

    def __call__(self, inputs: Any, batch_size: int | None, seed: int | None = None) -> Any:
        """Run one batch, padded to ``batch_size`` and to a multiple of the devices, and return its own rows.

        Args:
            inputs: A nest of arrays on the device.
            batch_size: The rows that the model is compiled for; None to return all that it returned.
            seed: That of a pass, where what is random in the model is to be active; compiled once for all seeds.
        """
        word = None if seed is None else np.uint32(seed)
        if batch_size is None:
            return self._run(inputs, word, cut=False)
        padded = self.placement.rounded(batch_size)
        return call_padded(functools.partial(self._run, seed=word, cut=True), inputs, padded, _repeat_last_row)

    def _run(self, inputs: Any, seed: Any, *, cut: bool) -> Any:
        inputs = self.placement.spread(as_lists(inputs))
        if self._jitted is None or jax.config.jax_disable_jit:  # type: ignore[attr-defined]  # made at run time
            return self._uncompiled(inputs, seed)
        reason = _foreign_input(inputs)
        if reason is None:
            # What is donated is lost, and an array that was on the device already is the caller's.
            given = jax.tree.map(jnp.array, inputs) if self.donate else inputs
            try:
                outputs, layers = self._jitted(self._leaves, given, cut, seed)
                outputs = outputs if cut else _unboxed(outputs)
                return Kept(outputs, layers) if layers else outputs
            except (*TRACING_ERRORS, _ForeignOutputError) as error:
                reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        outputs = self._uncompiled(inputs, seed)
        # Only now: where the function fails either way, its own error tells more than the warning.
        self._jitted = None
        warnings.warn(f"jax.jit cannot trace the model, so it runs uncompiled ({reason})", stacklevel=2)
        return outputs

    def _uncompiled(self, inputs: Any, seed: Any) -> Any:
        outputs = self._call(self._leaves, _copied(inputs), seed)
        layers = outputs.layers if isinstance(outputs, Kept) else {}
        inside = [name for name, part in layers.items() if isinstance(part, jax.core.Tracer)]
        if inside:
            message = (
                f"keep: the layer {inside[0]!r} runs within another transformation (scan, remat, vmap, jit), which "
                "nothing in it leaves; keep the one around it"
            )
            raise ValueError(message)
        return outputs


def _copied(inputs: Any) -> Any:
    """Return inputs of our own: what the user compiled may donate them, and those on the device may be the caller's."""
    return jax.tree.map(lambda leaf: leaf.copy() if isinstance(leaf, jax.Array) else leaf, inputs)


def _repeat_last_row(leaf: Any, times: int) -> Any:
    if isinstance(leaf, np.ndarray):  # text, which has no place on a device
        return np.concatenate([leaf, np.repeat(leaf[-1:], times, axis=0)])
    return jnp.pad(leaf, [(0, times), *[(0, 0)] * (leaf.ndim - 1)], mode="edge")


def _foreign_input(inputs: Any) -> str | None:
    """Name the first input that ``jax.jit`` cannot take, or return None."""
    foreign = (leaf for leaf in jax.tree.leaves(inputs) if not (is_array(leaf) or isinstance(leaf, NUMBERS)))
    first = next(foreign, None)
    return None if first is None else f"its inputs hold {type(first).__name__}"


class _ForeignOutputError(Exception):
    """The outputs of a traced model hold an object that jax does not know."""


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Box:
    """A number or a text among the outputs, which crosses ``jax.jit`` as part of their structure."""

    value: Any


def _boxed(leaf: Any) -> Any:
    if is_array(leaf):
        return leaf
    if not isinstance(leaf, CONSTANTS):  # it may hide arrays, which must not leave the trace
        message = f"its raw outputs hold {type(leaf).__name__}"
        raise _ForeignOutputError(message)
    return _Box(leaf)


def _unboxed(outputs: Any) -> Any:
    def is_box(node: Any) -> bool:
        return isinstance(node, _Box)

    return jax.tree.map(lambda node: node.value if is_box(node) else node, outputs, is_leaf=is_box)
