"""Arrays on their way to JAX devices and back to the host."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from probly.data_generator.toolkit.nests import map_leaves

ROWS = "rows"


@dataclass(frozen=True)
class Placement:
    """Where a run computes: one device, or several that share the rows of each batch.

    Attributes:
        name: What the metadata records and ``resolve_device`` accepts.
        devices: At least one.
    """

    name: str
    devices: tuple[jax.Device, ...]

    def put(self, nest: Any) -> Any:
        """Return a nest with its numeric arrays on the device; what is no number is passed on.

        NumPy arrays are copied; a jax.Array that lies there already cannot be written to, and stays. With several
        devices the rows are divided among them; an array whose rows do not divide waits on the first device, where
        ``spread`` finds it after padding.
        """
        return _map_arrays(self._put, nest)

    def _put(self, leaf: Any) -> Any:
        if isinstance(leaf, jax.Array):
            there = len(self.devices) == 1 and leaf.devices() == {self.devices[0]}
            return leaf if there else jax.device_put(leaf, self._sharding_of(leaf))
        array = as_numpy(leaf)
        if array is None:
            return leaf.copy() if isinstance(leaf, np.ndarray) else leaf  # text and objects
        # Copied by NumPy: on the CPU, device_put may keep the caller's memory, or read it later, when a loader has
        # filled it again.
        return jax.device_put(np.array(array), self._sharding_of(array))

    def _sharding_of(self, array: Any) -> Any:
        return self._sharding(ROWS) if len(self.devices) > 1 and self._divides(array) else self.devices[0]

    def _divides(self, array: Any) -> bool:
        return bool(array.ndim > 0 and array.shape[0] % len(self.devices) == 0)

    def _sharding(self, *axes: str) -> NamedSharding:
        mesh = Mesh(np.array(self.devices), (ROWS,))
        return NamedSharding(mesh, PartitionSpec(*axes))  # type: ignore[no-untyped-call]  # jax has no types for it

    def spread(self, inputs: Any) -> Any:
        """Return the inputs of a batch on all devices: divided by rows where that works out, else one copy each."""
        if len(self.devices) == 1:
            return inputs

        def spread(leaf: Any) -> Any:
            if not isinstance(leaf, jax.Array):
                return leaf
            return jax.device_put(leaf, self._sharding(ROWS) if self._divides(leaf) else self._sharding())

        return jax.tree.map(spread, inputs)

    def replicate(self, weights: Any) -> Any:
        """Return a pytree of arrays with one copy on each device; those that lie on all of them already stay."""
        everywhere = self.devices[0] if len(self.devices) == 1 else self._sharding()

        def replicate(leaf: Any) -> Any:
            if isinstance(leaf, jax.Array) and leaf.devices() == set(self.devices):
                return leaf
            return jax.device_put(leaf, everywhere)

        return jax.tree.map(replicate, weights)

    def rounded(self, rows: int) -> int:
        """Return the next number of rows that the devices can share evenly."""
        return -(-rows // len(self.devices)) * len(self.devices)


@functools.cache  # asked several times per batch, and slow
def is_number(dtype: Any) -> bool:
    """Return whether JAX computes with a dtype: bool, integers, floats (bfloat16 included), complex."""
    return bool(dtype == np.bool_ or jnp.issubdtype(dtype, np.number))


def is_array(leaf: Any) -> bool:
    """Return whether ``jax.jit`` takes a leaf as an array."""
    return isinstance(leaf, jax.Array) or (isinstance(leaf, np.ndarray | np.generic) and is_number(leaf.dtype))


def as_numpy(leaf: Any) -> np.ndarray[Any, Any] | None:
    """Return a numeric array of any library as a NumPy array, without a copy where it can; None for anything else."""
    if not hasattr(leaf, "__array__"):
        return None
    if isinstance(leaf, jax.Array) and not is_number(leaf.dtype):  # random keys have no NumPy form
        return None
    array = np.asarray(leaf)
    return array if is_number(array.dtype) else None


def _map_arrays(function: Callable[[Any], Any], nest: Any) -> Any:
    """Map a nest, in which pytrees of other libraries (structs, modules) are looked into as well."""

    def on_leaf(leaf: Any) -> Any:
        return function(leaf) if hasattr(leaf, "dtype") else jax.tree.map(function, leaf)

    return map_leaves(on_leaf, nest)


def to_host(nest: Any) -> Any:
    """Return a nest with its numeric arrays as NumPy arrays, half precision as float32.

    Examples:
        >>> to_host({"half": jnp.ones(2, jnp.bfloat16), "name": "x"})
        {'half': array([1., 1.], dtype=float32), 'name': 'x'}
    """
    return _map_arrays(_to_host, nest)


def _to_host(leaf: Any) -> Any:
    if isinstance(leaf, jax.core.Tracer):
        message = (
            "rows are made on the host, which jax.jit cannot trace: call to_probs outside of the compiled function"
        )
        raise TypeError(message)
    array = as_numpy(leaf)
    if array is None:
        return leaf
    half = array.dtype.itemsize < 4 and jnp.issubdtype(array.dtype, np.floating)
    return array.astype(np.float32) if half else array
