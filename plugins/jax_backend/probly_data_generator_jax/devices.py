"""JAX devices by name, and the way of arrays to them and back."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from probly.data_generator.toolkit.nests import map_leaves

ROWS = "rows"


class Staged(np.ndarray[Any, Any]):
    """Inputs of a run in host memory, which nobody writes to before their rows have been collected.

    ``to_device`` leaves it to the compiled step to take them to its device: for a small batch, jax.device_put takes
    longer than all the rest.
    """


def stage(nest: Any) -> Any:
    """Return a nest with its numeric NumPy arrays marked as Staged."""
    return _stage(nest) if isinstance(nest, np.ndarray) else map_leaves(_stage, nest)


def _stage(leaf: Any) -> Any:
    return leaf.view(Staged) if type(leaf) in (np.ndarray, np.memmap) and is_number(leaf.dtype) else leaf


@dataclass(frozen=True)
class Placement:
    """Where a run computes: one device, or several that share the rows of each batch.

    Args:
        name: What the metadata records and ``resolve_device`` accepts.
        devices: At least one.
    """

    name: str
    devices: tuple[jax.Device, ...]

    def put(self, nest: Any) -> Any:
        """Return a nest with its numeric arrays on the device; what is no number is passed on.

        With several devices the rows are divided among them; an array whose rows do not divide waits on the first
        device, where ``spread`` finds it after padding.
        """
        if isinstance(nest, np.ndarray | jax.Array):  # the usual case, faster
            return self._put(nest)
        return map_leaves(lambda leaf: jax.tree.map(self._put, leaf), nest)

    def spread(self, inputs: Any) -> Any:
        """Return the inputs of a batch on all devices: divided by rows where that works out, else one copy each."""
        if len(self.devices) == 1:
            return inputs
        return jax.tree.map(lambda leaf: self._spread(leaf) if isinstance(leaf, jax.Array) else leaf, inputs)

    def replicate(self, weights: Any) -> Any:
        """Return a pytree of arrays with one copy on each device."""
        return jax.device_put(weights, self.devices[0] if len(self.devices) == 1 else self._sharding())

    def single(self) -> SingleDeviceSharding | None:
        """Return where inputs in host memory go, if that is one device."""
        return SingleDeviceSharding(self.devices[0]) if len(self.devices) == 1 else None

    def rounded(self, rows: int) -> int:
        """Return the next number of rows that the devices can share evenly."""
        return -(-rows // len(self.devices)) * len(self.devices)

    def _put(self, leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array):
            if isinstance(leaf, Staged) and len(self.devices) == 1:
                return leaf.view(np.ndarray)
            array = _as_numpy(leaf)
            if array is None:
                return leaf
            # On the CPU, device_put may keep the caller's memory, or read it later: a loader that reuses its buffer
            # would change a batch that is still being computed.
            leaf = np.array(array)
        if len(self.devices) > 1 and self._divides(leaf):
            return jax.device_put(leaf, self._sharding(ROWS))
        return jax.device_put(leaf, self.devices[0])

    def _spread(self, leaf: Any) -> Any:
        return jax.device_put(leaf, self._sharding(ROWS) if self._divides(leaf) else self._sharding())

    def _divides(self, array: Any) -> bool:
        return bool(array.ndim > 0 and array.shape[0] % len(self.devices) == 0)

    def _sharding(self, *axes: str) -> NamedSharding:
        mesh = Mesh(np.array(self.devices), (ROWS,))
        return NamedSharding(mesh, PartitionSpec(*axes))  # type: ignore[no-untyped-call]  # jax has no types for it


def resolve_device(name: str | None) -> Placement:
    """Return the device of a name such as ``"cpu"``, ``"gpu:1"`` or ``"tpu"``, the best one for None.

    The number counts the devices of this process. ``"cpu:all"`` and ``"gpu:all"`` mean all of them at once.

    Raises:
        ValueError: It is not available; the message lists those that are.

    Examples:
        >>> resolve_device("cpu").devices == (jax.devices("cpu")[0],)
        True
    """
    platform, _, number = (jax.local_devices()[0].platform if name is None else str(name)).lower().partition(":")
    devices = _devices(platform)
    if devices and number == "all":
        return Placement(f"{devices[0].platform}:all", devices)
    index = int(number or 0) if number.isdecimal() or not number else len(devices)
    if index >= len(devices):
        available = ", ".join(map(repr, device_names()))
        message = f"device {name!r} is not available to jax {jax.__version__}; available: {available}"
        raise ValueError(message)
    return Placement(_name(devices[index].platform, index), (devices[index],))


def _devices(platform: str) -> tuple[jax.Device, ...]:
    try:
        return tuple(jax.local_devices(backend=platform)) if platform else ()
    except RuntimeError:  # jax's answer to a platform that it does not have
        return ()


def _name(platform: str, index: int) -> str:
    return "cpu" if (platform, index) == ("cpu", 0) else f"{platform}:{index}"


def device_names() -> list[str]:
    """Return the names of all devices of this machine, alone and together."""
    names = []
    for platform in dict.fromkeys(("cpu", "gpu", "tpu", jax.default_backend())):
        devices = _devices(platform)
        names += [_name(platform, index) for index in range(len(devices))]
        names += [f"{platform}:all"] if len(devices) > 1 else []
    return names


@functools.cache  # asked several times per batch, and slow
def is_number(dtype: Any) -> bool:
    """Return whether JAX computes with a dtype: bool, integers, floats (bfloat16 included), complex."""
    return bool(dtype == np.bool_ or jnp.issubdtype(dtype, np.number))


def _as_numpy(leaf: Any) -> np.ndarray[Any, Any] | None:
    """Return a numeric array of any library as a NumPy array, without a copy where it can; None for anything else."""
    if not hasattr(leaf, "__array__"):
        return None
    array = np.asarray(leaf)
    return array if is_number(array.dtype) else None


def to_host(nest: Any) -> Any:
    """Return a nest with its numeric arrays as NumPy arrays, half precision as float32.

    Examples:
        >>> to_host({"half": jnp.ones(2, jnp.bfloat16), "name": "x"})
        {'half': array([1., 1.], dtype=float32), 'name': 'x'}
    """
    if isinstance(nest, np.ndarray | jax.Array):  # the usual case, faster
        return _to_host(nest)
    return map_leaves(lambda leaf: jax.tree.map(_to_host, leaf), nest)


def _to_host(leaf: Any) -> Any:
    if isinstance(leaf, jax.Array) and not is_number(leaf.dtype):  # random keys have no NumPy form
        return leaf
    array = _as_numpy(leaf)
    if array is None:
        return leaf
    return array.astype(np.float32) if is_half(array) else array


def is_half(array: Any) -> bool:
    """Return whether an array's floats have fewer than 32 bits."""
    return bool(array.dtype.itemsize < 4 and jnp.issubdtype(array.dtype, np.floating))
