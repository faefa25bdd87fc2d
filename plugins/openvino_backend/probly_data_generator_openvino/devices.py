"""Devices by OpenVINO's own names: ``"CPU"``, ``"GPU.0"``, ``"NPU"``, ``"AUTO:GPU,CPU"``; and their precision."""

import functools
import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import openvino

from probly_data_generator_openvino.options import PRECISIONS

VIRTUAL = ("AUTO", "MULTI", "HETERO")
"""What OpenVINO calls the choice among devices, or their union."""


@functools.cache
def core() -> Any:
    """Return OpenVINO's entry to its devices, whose plugins start when they are first asked for."""
    return openvino.Core()


def available_devices() -> list[str]:
    """Return the names of the devices of this machine."""
    return [str(name) for name in core().available_devices]


def resolve_device(name: str) -> str:
    """Return OpenVINO's name of a device, after a look whether it is there.

    Args:
        name: A device, or AUTO, MULTI or HETERO with or without devices; in any case.

    Raises:
        ValueError: It is not available; the message lists those that are.
    """
    kind, _, parts = name.upper().partition(":")
    members = [part.removeprefix("-") for part in parts.split(",")] if kind in VIRTUAL and parts else []
    wanted = members or ([] if kind in VIRTUAL else [name.upper()])
    available = available_devices()
    # One GPU is GPU, several are GPU.0, GPU.1, ...; of several, GPU is the first.
    known = {*available, *(device.partition(".")[0] for device in available)}
    known |= {f"{device}.0" for device in available if device == "GPU"}
    if not set(wanted) <= known:
        message = (
            f"device {name!r} is not available to openvino {openvino.__version__}; available: "
            f"{', '.join(map(repr, available))}, and AUTO, MULTI:... and HETERO:... of these"
        )
        raise ValueError(message)
    return name.upper()


def best_devices() -> list[str]:
    """Return the devices to try in order: GPUs, then the CPU; an NPU computes in half precision and has to be named."""
    available = available_devices()
    return [*(name for name in available if name.startswith("GPU")), "CPU"]


def compile_on(model: Any, device: str | None, precision: str, threads: int, where: str) -> tuple[Any, str]:
    """Return a CompiledModel and the name of its device; None for the best one that works.

    Args:
        model: An openvino.Model.
        device: A device's name, or None.
        precision: One of ``PRECISIONS``.
        threads: Of the CPU; 0 for as many as it has.
        where: The model's name in messages.

    Raises:
        ValueError: The device is not there, does not take the model, or computes in another precision.
    """
    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads} if threads else {}
    if precision != "device":
        # ACCURACY: nothing is quantised on the way, either, as activations beside compressed weights would be.
        settings |= {"INFERENCE_PRECISION_HINT": precision, "EXECUTION_MODE_HINT": "ACCURACY"}
    if device is not None:
        return _compile(model, resolve_device(device), precision, settings, where)
    devices = best_devices()
    for name, following in itertools.pairwise(devices):
        try:
            return _compile(model, name, precision, settings, where)
        except ValueError as error:
            message = f"device {name!r} cannot be used, continuing with {following!r}: {error}"
            warnings.warn(message, stacklevel=2)
    return _compile(model, devices[-1], precision, settings, where)


def _compile(model: Any, device: str, precision: str, settings: Mapping[str, Any], where: str) -> tuple[Any, str]:
    kind = device.partition(":")[0]
    if kind == "AUTO":
        # Else the CPU computes the first batches, until the chosen device is ready.
        settings = {**settings, "ENABLE_STARTUP_FALLBACK": False}
    try:
        compiled = core().compile_model(model, device, dict(settings))
    except RuntimeError as error:
        message = f"{where}: openvino {openvino.__version__} cannot compile it for {device} ({last_line(error)})"
        raise ValueError(message) from error
    got = precision_of(compiled)
    if precision != "device" and got not in (None, precision):
        message = (
            f"option 'precision': {device} computes in {got}, not in {precision}; set options={{'precision': {got!r}}}"
        )
        raise ValueError(message)
    return compiled, running_on(compiled) if kind in VIRTUAL else device


def running_on(compiled: Any) -> str:
    """Return the name of the devices that a CompiledModel runs on."""
    found: Sequence[str] = compiled.get_property("EXECUTION_DEVICES")
    return ",".join(name.strip("()") for name in found)


def precision_of(compiled: Any) -> str | None:
    """Return the precision that a CompiledModel computes in, or None where its device does not say."""
    try:
        kind = compiled.get_property("INFERENCE_PRECISION_HINT")
    except RuntimeError:  # of several devices together
        return None
    name = str(kind.get_type_name())
    return name if name in PRECISIONS else None


def last_line(error: Exception) -> str:
    """Return what an error of OpenVINO's says, after the places in its source from which it came."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Exception from ", "Check '"))]
    return " ".join(said or lines)
