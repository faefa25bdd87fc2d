"""The hooks; ONNX Runtime takes NumPy arrays, so the core reads the data and moves them.

onnxruntime and onnx are imported inside hook bodies only, so that listing backends imports neither.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.toolkit.recognition import class_from

if TYPE_CHECKING:
    from probly_data_generator_onnx.models import OnnxModel

NO_MEMORY = (
    "failed to allocate memory",  # the CPU's and CUDA's arena
    "is smaller than requested bytes",  # an arena with a limit
    "bad_alloc",
    "bad allocation",
    "out of memory",  # CUDA, DirectML
    "alloc_failed",  # cuBLAS, cuDNN
)
"""What ONNX Runtime's errors say of memory, in lower case; it has no class of its own for them."""


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "OnnxModel":
    """Accept an ``.onnx`` file, its bytes, a ModelProto, an InferenceSession, or ``"module:attribute"``."""
    from probly_data_generator_onnx.models import load

    return load(source, device, options)


@hookimpl
def forward(model: "OnnxModel", inputs: Any, batch_size: int | None) -> Any:
    """Run the session over a batch; it computes no gradients and has no state."""
    from probly_data_generator_onnx.forward import outputs_of

    return outputs_of(model, inputs, batch_size)


@hookimpl
def keep_layers(model: "OnnxModel", layers: Sequence[str]) -> "OnnxModel":
    """Make results of the graph's nodes outputs of a copy of it."""
    from probly_data_generator_onnx import layers as hidden

    return hidden.keep_layers(model, layers)


@hookimpl
def posterior_params(model: "OnnxModel") -> dict[str, dict[str, Any]]:
    """Pair the initializers ``*_mu`` and ``*_rho``."""
    from probly_data_generator_onnx.posterior import posterior_arrays

    return posterior_arrays(model.stored)


@hookimpl
def weight_digest(model: "OnnxModel") -> str:
    """Return the digest of all weights and of the graph; ``""`` for a session whose file cannot be read again."""
    from probly_data_generator_onnx.digest import digest_model

    return digest_model(model.stored)


@hookimpl
def recognizes(source: Any) -> Any:
    """Claim sessions of ONNX Runtime, models of the onnx package, and ``.onnx`` files."""
    if isinstance(source, Path):
        return source.suffix.lower() == ".onnx"
    return class_from(source, "onnxruntime", "onnx") or False


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device or the host ran out of memory."""
    # Its errors are Exceptions, not RuntimeErrors; those of its Python bindings are RuntimeErrors.
    own = isinstance(error, RuntimeError) or type(error).__module__.partition(".")[0] == "onnxruntime"
    return isinstance(error, MemoryError) or (own and any(words in str(error).lower() for words in NO_MEMORY))


@hookimpl
def available_devices() -> list[str]:
    """Return the short names of the execution providers of this installation."""
    from probly_data_generator_onnx import devices

    return list(devices.available_devices())


@hookimpl
def choices() -> dict[str, Collection[Any]]:
    """Return the devices of the usual execution providers, and what options take."""
    from probly_data_generator_onnx.options import DEVICES, KNOWN

    return {"device": DEVICES, **KNOWN}
