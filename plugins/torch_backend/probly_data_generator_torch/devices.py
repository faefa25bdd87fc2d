"""The devices of this machine by name."""

import torch

CPU = torch.device("cpu")


def resolve_device(name: str | None) -> torch.device:
    """Return the torch device of a name, the best one for None.

    Raises:
        ValueError: It is not available; the message lists those that are.
    """
    if name is None:
        return _best_device()
    if name == "cpu":  # asked for once per batch
        return CPU
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(_unavailable(name)) from error
    if device.type == "cpu":
        return CPU
    if device.type not in _accelerators() or (device.index or 0) >= _accelerators()[device.type]:
        raise ValueError(_unavailable(name))
    return device if device.index is not None or device.type == "mps" else torch.device(device.type, _current(device))


def device_names() -> list[str]:
    """Return the names of all devices of this machine."""
    names = ["cpu"]
    for kind, count in _accelerators().items():
        names += [kind] if kind == "mps" else [f"{kind}:{index}" for index in range(count)]
    return names


def _unavailable(name: str) -> str:
    available = ", ".join(map(repr, device_names()))
    return f"device {name!r} is not available to torch {torch.__version__}; available: {available}"


def _accelerators() -> dict[str, int]:
    """Return the number of devices of each kind beside the CPU."""
    found = {"cuda": torch.cuda.device_count(), "xpu": torch.xpu.device_count()}
    found["mps"] = int(torch.backends.mps.is_available())
    return {kind: count for kind, count in found.items() if count}


def _best_device() -> torch.device:
    kind = next(iter(_accelerators()), "cpu")
    return torch.device(kind) if kind in ("cpu", "mps") else torch.device(kind, 0)


def _current(device: torch.device) -> int:
    return int(getattr(torch, device.type).current_device())
