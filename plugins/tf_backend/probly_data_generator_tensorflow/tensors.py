"""Devices by name, and arrays to and from them."""

import functools
import re
from typing import Any

import numpy as np
import tensorflow as tf

# Converting other types is slow to ask for.
_PLAIN = frozenset({np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_})

_DEVICE = re.compile(r"(?:.*/)?(?:device:)?(?P<kind>[a-z_]+)(?::(?P<index>\d+))?", re.IGNORECASE)


@functools.cache  # TensorFlow's devices are settled before the first one is asked for
def resolve_device(name: str | None) -> str:
    """Return the short TensorFlow name of a device, such as ``"GPU:0"``; the best one for None.

    Raises:
        ValueError: It is not available; the message lists those that are.

    Examples:
        >>> resolve_device("cpu"), resolve_device("/device:CPU:0")
        ('CPU:0', 'CPU:0')
    """
    available = device_names()
    if name is None:
        return next((device for device in available if device.startswith("GPU")), "CPU:0")
    match = _DEVICE.fullmatch(str(name))
    wanted = f"{match['kind'].upper()}:{int(match['index'] or 0)}" if match else ""
    if wanted not in available:
        message = (
            f"device {name!r} is not available to tensorflow {tf.__version__}; "
            f"available: {', '.join(map(repr, available))}"
        )
        raise ValueError(message)
    return wanted


def device_names() -> list[str]:
    """Return the short names of all logical devices."""
    return [short_name(device.name) for device in tf.config.list_logical_devices()]


def short_name(device: str) -> str:
    """Return what follows ``device:`` in a full device name."""
    return device.rpartition("device:")[2]


def feeding_device(name: str) -> str:
    """Return the device that takes a model's batches: of several, separated by commas, the host, which splits them."""
    return "CPU:0" if "," in name else resolve_device(name)


def is_half(dtype: tf.DType) -> bool:
    """Return whether a float dtype has fewer than 32 bits."""
    return bool(dtype.is_floating) and dtype.size < 4


def to_numpy(leaf: Any) -> Any:
    """Return a tensor or another library's array as a NumPy array, half precision as float32; other leaves as is."""
    if isinstance(leaf, tf.Tensor | tf.Variable):
        tensor = tf.convert_to_tensor(leaf)
        return (tf.cast(tensor, tf.float32) if is_half(tensor.dtype) else tensor).numpy()
    array = _as_array(leaf)
    if array is None:
        return leaf
    return array.astype(np.float32) if is_half(tf.as_dtype(array.dtype)) else array


def to_tensor(leaf: Any, device: str) -> Any:
    """Return a tensor or an array of numbers or text as a tensor on a device; other leaves as they are."""
    if isinstance(leaf, tf.Tensor) and _is_on(leaf, device):
        return leaf
    if not isinstance(leaf, tf.Tensor | tf.Variable):
        array = _as_array(leaf)
        if array is None:
            return leaf
        leaf = array
    # Accelerators hold no text.
    is_text = tf.as_dtype(leaf.dtype) == tf.string
    with tf.device("CPU:0" if is_text else device):
        return tf.convert_to_tensor(leaf) if isinstance(leaf, np.ndarray) else tf.identity(leaf)


def _is_on(tensor: tf.Tensor, device: str) -> bool:
    # The device of a tensor is its full name, and symbolic ones have none.
    return bool(getattr(tensor, "device", None)) and short_name(tensor.device) == device


def _as_array(leaf: Any) -> Any:
    """Return the NumPy array of numbers or text behind a leaf, or None where there is none."""
    if not hasattr(leaf, "__array__"):
        return None
    array = np.asarray(leaf)
    if array.dtype.type in _PLAIN:
        return array
    try:
        tf.as_dtype(array.dtype)
    except TypeError:  # dates and records
        return None
    return None if array.dtype == object else array
