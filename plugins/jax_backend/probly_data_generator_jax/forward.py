"""The compiled step: model and softmax in one ``jax.jit``, for batches of one size."""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probly.data_generator.hookspecs import OutputMode
from probly.data_generator.rows import as_probabilities
from probly.data_generator.toolkit.outputs import cut_rows
from probly_data_generator_jax.compiling import Bound, bound
from probly_data_generator_jax.devices import Placement, is_half, is_number

# What jax raises when a function asks for the value of an array while it is traced.
TRACING_ERRORS = (jax.errors.JAXTypeError, jax.errors.JAXIndexError)

# What can be remembered as part of the structure of traced outputs.
NUMBERS = (bool, int, float, complex)
CONSTANTS = (*NUMBERS, str, bytes)

Function = Callable[[Any, Any], Any]
Step = Callable[[Any, Any, OutputMode], Any]


class JaxOperations:
    """The array operations in JAX."""

    def float32(self, scores: Any) -> jax.Array:
        """Cast to float32."""
        return jnp.asarray(scores, jnp.float32)

    def is_half(self, scores: Any) -> bool:
        """Return whether a float dtype has fewer than 32 bits."""
        return is_half(scores)

    def softmax(self, scores: jax.Array) -> jax.Array:
        """Softmax over the last axis; jax subtracts the maximum, and refuses a scalar, which the row check explains."""
        return jax.nn.softmax(scores, axis=-1) if scores.ndim else scores

    def sigmoid(self, scores: jax.Array) -> jax.Array:
        """Elementwise logistic function."""
        return jax.nn.sigmoid(scores)

    def two_columns(self, first: jax.Array, second: jax.Array) -> jax.Array:
        """Stack two arrays of shape (N,) to (N, 2)."""
        return jnp.stack([first, second], axis=-1)

    def renormalise(self, rows: jax.Array, tolerance: float) -> jax.Array:
        """Divide each row by its sum where that is nearly 1."""
        sums = rows.sum(axis=-1, keepdims=True)
        return rows / jnp.where(jnp.abs(sums - 1.0) <= tolerance, sums, 1.0)


OPERATIONS = JaxOperations()


class JaxModel:
    """What ``load_model`` returns.

    Args:
        function: Called with the weights and the inputs of a batch.
        weights: A pytree of arrays; arguments of the compiled step, so that none becomes a constant of it.
        placement: Where it runs.
        source: The user's model, which is only read.
        traceable: Whether ``jax.jit`` can take the function; a step that is not compiled here is called as it is.

    Attributes:
        donate: Whether XLA may put the outputs of a batch where its inputs are.
    """

    def __init__(
        self, function: Function, weights: Any, placement: Placement, source: Any, *, traceable: bool = True
    ) -> None:
        self.placement = placement
        self.device = placement.name
        self.weights = placement.replicate(weights)
        self.source = source
        self.traceable = traceable
        self.donate = False
        self.step = _step(function)
        self._bound: dict[Any, Bound] = {}

    @property
    def channels(self) -> str | None:
        """The order of a picture's axes, for the command line; a plain function does not tell."""
        roots = {kind.__module__.partition(".")[0] for kind in type(self.source).__mro__}
        return "first" if "equinox" in roots else "last" if roots & {"flax", "keras"} else None

    @property
    def weights(self) -> Any:
        """The weights on the device."""
        return self._weights

    @weights.setter
    def weights(self, weights: Any) -> None:
        self._weights = weights
        self._flat_weights = jax.tree.leaves(weights)  # once, not per batch: modules flatten in Python

    def __call__(self, inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
        """Run one batch, padded to ``batch_size`` and to a multiple of the devices, and return its own rows."""
        leaves, structure = jax.tree.flatten(inputs)
        rows = None if output_mode == "raw" else _padded_rows(inputs)
        if rows is None:
            return self._run(leaves, structure, output_mode)
        wanted = self.placement.rounded(max(rows, batch_size))
        if wanted == rows:
            return self._run(leaves, structure, output_mode)
        padded = [_pad(leaf, wanted - rows) for leaf in leaves]
        return cut_rows(self._run(padded, structure, output_mode), wanted, rows)

    def _run(self, leaves: list[Any], structure: Any, output_mode: OutputMode) -> Any:
        leaves = self.placement.spread(leaves)
        if not self.traceable or jax.config.jax_disable_jit:  # type: ignore[attr-defined]  # made at run time
            return self._uncompiled(leaves, structure, output_mode)
        reason = _foreign_input(leaves)
        if reason is None:
            try:
                compiled = self._compiled(leaves, structure, output_mode)
                return _unboxed(compiled(self._flat_weights, _owned(leaves) if self.donate else leaves))
            except (*TRACING_ERRORS, _ForeignOutputError) as error:
                reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        outputs = self._uncompiled(leaves, structure, output_mode)
        # Only now: where the function fails either way, its own error tells more than the warning.
        self.traceable = False
        warnings.warn(f"jax.jit cannot trace the model, so it runs uncompiled ({reason})", stacklevel=2)
        return outputs

    def _uncompiled(self, leaves: list[Any], structure: Any, output_mode: OutputMode) -> Any:
        # Only a compiled program takes arrays from host memory.
        inputs = jax.tree.unflatten(structure, self.placement.put(leaves))
        return self.step(self._weights, inputs, output_mode)

    def _compiled(self, leaves: list[Any], structure: Any, output_mode: OutputMode) -> Bound:
        key = (output_mode, structure, *map(_kind, leaves))
        if key not in self._bound:
            step = _traceable(self.step, output_mode)
            inputs = jax.tree.unflatten(structure, leaves)
            self._bound[key] = bound(step, self._weights, inputs, self.source, self.placement, donate=self.donate)
        return self._bound[key]


class _ForeignOutputError(Exception):
    """The raw outputs of a traced model hold an object that jax does not know."""


def _step(function: Function) -> Step:
    def step(weights: Any, inputs: Any, output_mode: OutputMode) -> Any:
        outputs = function(weights, inputs)
        return outputs if output_mode == "raw" else as_probabilities(outputs, output_mode, OPERATIONS)

    return step


def _traceable(step: Step, output_mode: OutputMode) -> Function:
    def traceable(weights: Any, inputs: Any) -> Any:
        return jax.tree.map(_boxed, step(weights, inputs, output_mode))

    return traceable


@jax.tree_util.register_pytree_node_class
class _Box:
    """A constant among the raw outputs, which crosses ``jax.jit`` as part of their structure."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def tree_flatten(self) -> tuple[tuple[()], Any]:
        return (), self.value

    @classmethod
    def tree_unflatten(cls, value: Any, _: tuple[()]) -> "_Box":
        return cls(value)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) or (isinstance(leaf, np.ndarray | np.generic) and is_number(leaf.dtype))


def _boxed(leaf: Any) -> Any:
    if _is_array(leaf):
        return leaf
    if not isinstance(leaf, CONSTANTS):  # it may hide arrays, which must not leave the trace
        message = f"its raw outputs hold {type(leaf).__name__}"
        raise _ForeignOutputError(message)
    return _Box(leaf)


def _unboxed(outputs: Any) -> Any:
    if isinstance(outputs, jax.Array):
        return outputs
    return jax.tree.map(lambda node: node.value if _is_box(node) else node, outputs, is_leaf=_is_box)


def _is_box(node: Any) -> bool:
    return isinstance(node, _Box)


def _foreign_input(leaves: list[Any]) -> str | None:
    """Name the first input that ``jax.jit`` cannot take, or return None."""
    for leaf in leaves:
        if not (_is_array(leaf) or isinstance(leaf, NUMBERS)):
            return f"its inputs hold {type(leaf).__name__}"
    return None


def _kind(leaf: Any) -> Any:
    """Return what a trace knows of an input."""
    return (leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False)) if hasattr(leaf, "dtype") else type(leaf)


def _owned(leaves: list[Any]) -> list[Any]:
    """Return copies, since what is donated is lost, and arrays may be the caller's."""
    return [leaf.copy() if _is_array(leaf) else leaf for leaf in leaves]


def _padded_rows(inputs: Any) -> int | None:
    """Return the number of rows that all arrays share; None where padding would not mean one more row each."""
    if _is_array(inputs):
        return inputs.shape[0] if inputs.ndim else None
    # A list holds samples that did not stack; its arrays are samples, not columns.
    leaves = jax.tree.leaves(inputs, is_leaf=lambda node: isinstance(node, list))
    counts = {leaf.shape[0] if _is_array(leaf) and leaf.ndim else None for leaf in leaves}
    return counts.pop() if len(counts) == 1 else None


def _pad(leaf: Any, missing: int) -> Any:
    """Repeat the last row."""
    if isinstance(leaf, np.ndarray):
        return np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)])
    return jnp.pad(leaf, [(0, missing), *[(0, 0)] * (leaf.ndim - 1)], mode="edge")
