"""JAX devices by name."""

from typing import Any

import jax

from probly_data_generator_jax.arrays import Placement


def resolve_device(name: str | None) -> Placement:
    """Return the device of a name such as ``"cpu"``, ``"gpu:1"`` or ``"tpu"``; for None the one that jax would take.

    That is the best one, unless ``jax.default_device`` says otherwise. The number counts the devices of this process.
    ``"cpu:all"`` and ``"gpu:all"`` mean all of them at once.

    Raises:
        ValueError: It is not available; the message lists those that are.

    Examples:
        >>> resolve_device("cpu").devices == (jax.devices("cpu")[0],)
        True
    """
    if name is None:
        default = jax.config.jax_default_device or jax.local_devices()[0]  # type: ignore[attr-defined]  # see forward
        name = default if isinstance(default, str) else _full_name(default)
    platform, _, number = str(name).lower().partition(":")
    devices = _devices(platform)
    if devices and number == "all":
        return Placement(f"{devices[0].platform}:all", devices)
    index = int(number or 0) if number.isdecimal() or not number else len(devices)
    if index >= len(devices):
        available = ", ".join(map(repr, device_names()))
        message = f"device {name!r} is not available to jax {jax.__version__}; available: {available}"
        raise ValueError(message)
    return _single(devices[index].platform, index)


def device_of(weights: Any) -> Placement:
    """Return where a live model's weights lie; jax's own device where there are none, or on some devices but not all.

    Args:
        weights: A pytree; of a plain function, an empty one.

    Examples:
        >>> device_of({"bias": jax.device_put(1.0, jax.devices("cpu")[0])}).name
        'cpu'
    """
    arrays = (leaf for leaf in jax.tree.leaves(weights) if isinstance(leaf, jax.Array))
    found = set().union(*(array.devices() for array in arrays))
    for platform in {device.platform for device in found}:
        devices = _devices(platform)
        if len(found) == 1 and found <= set(devices):
            return _single(platform, devices.index(found.pop()))
        if found == set(devices):
            return Placement(f"{platform}:all", devices)
    return resolve_device(None)


def _full_name(device: jax.Device) -> str:
    return f"{device.platform}:{_devices(device.platform).index(device)}"


def _single(platform: str, index: int) -> Placement:
    return Placement(_name(platform, index), (_devices(platform)[index],))


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
