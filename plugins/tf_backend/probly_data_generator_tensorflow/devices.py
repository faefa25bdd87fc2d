"""Devices by their short names, such as ``"GPU:0"``."""

import functools
import re

import tensorflow as tf

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
    """Return what follows ``device:`` in a full device name.

    Examples:
        >>> short_name("/job:localhost/replica:0/task:0/device:GPU:1")
        'GPU:1'
    """
    return device.rpartition("device:")[2]


def feeding_device(name: str) -> str:
    """Return the device that takes a model's batches: of several, separated by commas, the host, which splits them."""
    return "CPU:0" if "," in name else resolve_device(name)
