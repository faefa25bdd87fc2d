"""Execution providers by the name of their device: ``"cuda:1"`` stands for CUDAExecutionProvider on its device 1."""

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import onnxruntime

SUFFIX = "ExecutionProvider"
CPU = f"CPU{SUFFIX}"
ALIASES = {"gpu": "cuda", "directml": "dml"}
NUMBERED = {"cuda", "tensorrt", "nvtensorrtrtx", "rocm", "migraphx", "dml", "cann"}
"""Those that have an option ``device_id``."""
REMOTE = "azure"
"""Calls a service elsewhere, so it is no device of this machine."""
COMPILING = {"tensorrt", "nvtensorrtrtx", "coreml", "openvino", "migraphx", "qnn", "vitisai", "nnapi"}
"""Those that build the model anew for every shape of its inputs, which may take minutes."""


class Device(NamedTuple):
    """Where a session runs.

    Attributes:
        name: What the metadata records and ``resolve_device`` accepts.
        provider: The name of its execution provider.
        number: Which of several, where it was said.
    """

    name: str
    provider: str
    number: int | None = None

    @property
    def compiles(self) -> bool:
        """Whether each new shape of the inputs costs a compilation."""
        return short_name(self.provider) in COMPILING

    def providers(self) -> list[Any]:
        """Return the execution providers of a session in order; what one cannot compute goes to the next."""
        numbered = [(name, {"device_id": str(self.number or 0)}) for name in self._preferred()]
        return [pair if short_name(pair[0]) in NUMBERED else pair[0] for pair in numbered]

    def _preferred(self) -> list[str]:
        after = [f"CUDA{SUFFIX}"] if "tensorrt" in short_name(self.provider) else []
        available = onnxruntime.get_available_providers()
        return list(dict.fromkeys([self.provider, *(name for name in after if name in available), CPU]))


def short_name(provider: str) -> str:
    """Return the name of a provider's device.

    Examples:
        >>> short_name("TensorrtExecutionProvider")
        'tensorrt'
    """
    return provider.removesuffix(SUFFIX).lower()


def available_devices() -> dict[str, str]:
    """Return the providers of this machine by the name of their device, the one that ONNX Runtime prefers first."""
    names = list(onnxruntime.get_available_providers())
    plugged = getattr(onnxruntime, "get_ep_devices", list)  # providers that are plugins; since onnxruntime 1.22
    names += [device.ep_name for device in plugged()]
    return {short_name(name): name for name in names if short_name(name) != REMOTE}


def resolve_device(name: str) -> Device:
    """Return the device of a name such as ``"cpu"``, ``"cuda:1"``, ``"tensorrt"`` or ``"CUDAExecutionProvider"``.

    Raises:
        ValueError: It is not available; the message lists those that are.
    """
    kind, _, number = name.partition(":")
    short = short_name(kind)
    short = ALIASES.get(short, short)
    provider = available_devices().get(short)
    known = number.isdecimal() and (short in NUMBERED or int(number) == 0)
    if provider is None or (number and not known):
        raise ValueError(unavailable(name))
    return Device(f"{short}:{int(number)}" if number and short in NUMBERED else short, provider, int(number or 0))


def unavailable(name: str) -> str:
    """Return the message for a device that is not there."""
    available = ", ".join(map(repr, available_devices()))
    return f"device {name!r} is not available to onnxruntime {onnxruntime.__version__}; available: {available}"


def best_devices() -> list[Device]:
    """Return the devices to try in order, the CPU last; those that compile for minutes are for explicit choice."""
    names = [name for name in available_devices() if name in NUMBERED - COMPILING]
    return [resolve_device(name) for name in [*names, "cpu"]]


def first_that_works(devices: Sequence[Device], start: Callable[[Device], Any]) -> Any:
    """Return what ``start`` makes on the first device where it does not fail, with a warning for each that does.

    Raises:
        Exception: What ``start`` raised on the last one.
    """
    for device, following in itertools.pairwise(devices):
        try:
            return start(device)
        # A library of its driver may be missing, and each provider reports that in its own way.
        except Exception as error:  # noqa: BLE001
            message = f"device {device.name!r} cannot be used, continuing with {following.name!r}: {error}"
            warnings.warn(message, stacklevel=2)
    return start(devices[-1])
