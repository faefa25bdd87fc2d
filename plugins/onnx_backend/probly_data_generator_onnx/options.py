"""What users may ask of ONNX Runtime by name, without importing it."""

from collections.abc import Collection, Mapping
from typing import Any, Final

DEVICES: Final = ("cpu", "cuda", "tensorrt", "rocm", "migraphx", "dml", "coreml", "openvino", "qnn")
"""The devices of its usual execution providers."""
THREADS: Final[Mapping[str, Collection[Any]]] = {"threads": range(1024)}
KNOWN: Final[Mapping[str, Collection[Any]]] = {**THREADS, "output": ()}
"""The allowed values of each option, the default first; the outputs are those of a model."""
