"""What users may ask of OpenVINO by name, without importing it."""

from collections.abc import Collection, Mapping
from typing import Any, Final

DEVICES: Final = ("CPU", "GPU", "NPU", "AUTO")
PRECISIONS: Final = ("f32", "bf16", "f16", "device")
"""The values of the option ``precision``; ``"device"`` leaves it to the device."""
COMPILED: Final[Mapping[str, Collection[Any]]] = {"precision": PRECISIONS, "threads": range(1024)}
KNOWN: Final[Mapping[str, Collection[Any]]] = {**COMPILED, "output": ()}
"""The allowed values of each option, the default first; the outputs are those of a model."""
