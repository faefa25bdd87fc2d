"""The hooks; OpenVINO takes NumPy arrays and returns them, so the core reads the data and moves them.

openvino is imported inside hook bodies only, so that listing backends does not import it.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.toolkit.recognition import class_from

if TYPE_CHECKING:
    from probly_data_generator_openvino.models import OpenvinoModel

NO_MEMORY = (
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "not enough memory",
    "failed to allocate",
    "out_of_host_memory",  # OpenCL's, of GPUs
    "out_of_resources",
    "out of gpu resources",
    "mem_object_allocation_failure",
    "exceeded max size of memory",
)
"""What OpenVINO's errors say of memory, in lower case; it has no class of its own for them."""


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "OpenvinoModel":
    """Accept the ``.xml`` of an IR, an openvino.Model, a CompiledModel, or ``"module:attribute"``."""
    from probly_data_generator_openvino.models import load

    return load(source, device, options)


@hookimpl
def forward(model: "OpenvinoModel", inputs: Any, batch_size: int | None) -> Any:
    """Infer a batch; there are no gradients, and state is reset before."""
    from probly_data_generator_openvino.forward import outputs_of

    return outputs_of(model, inputs, batch_size)


@hookimpl
def weight_digest(model: "OpenvinoModel") -> str:
    """Return the digest of an IR's files, or of what a live Model was when it was compiled."""
    return model.digest()


@hookimpl
def recognizes(source: Any) -> Any:
    """Claim models of OpenVINO and the ``.xml`` of an IR."""
    return source.suffix.lower() == ".xml" if isinstance(source, Path) else class_from(source, "openvino") or False


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device or the host ran out of memory."""
    own = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)
    return isinstance(error, MemoryError) or own


@hookimpl
def available_devices() -> list[str]:
    """Return OpenVINO's names of the devices of this machine."""
    from probly_data_generator_openvino import devices

    return devices.available_devices()


@hookimpl
def choices() -> dict[str, Collection[Any]]:
    """Return OpenVINO's kinds of devices, and what options take."""
    from probly_data_generator_openvino.options import DEVICES, KNOWN

    return {"device": DEVICES, **KNOWN}
