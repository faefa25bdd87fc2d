"""The hooks. onnxruntime and onnx are imported inside their bodies only, so that listing backends imports neither."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from probly.data_generator.hookspecs import HOST, OutputMode, hookimpl
from probly.data_generator.toolkit.nests import map_leaves
from probly.data_generator.toolkit.samples import Batch, Getter

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
def iterate_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int,
) -> Iterator[Batch]:
    """Iterate over arrays, tables, sequences, iterables and loaders; ONNX Runtime has no datasets of its own."""
    from probly_data_generator_onnx.data import onnx_batches

    return onnx_batches(dataset, batch_size, input_getter, index_getter, batched, start)


@hookimpl
def to_device(data: Any, device: str) -> Any:
    """Return the nest as NumPy arrays, without a copy where they are; ONNX Runtime itself copies to its device."""
    from probly_data_generator_onnx import arrays

    return map_leaves(arrays.to_host, data) if device == HOST else arrays.to_target(data, device)


@hookimpl
def forward(model: "OnnxModel", inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
    """Run the session over a batch; it computes no gradients and has no state."""
    from probly_data_generator_onnx.outputs import rows_of

    return rows_of(model, inputs, output_mode, batch_size)


@hookimpl
def posterior_params(model: "OnnxModel") -> dict[str, dict[str, Any]]:
    """Pair the initializers ``*_mu`` and ``*_rho``."""
    from probly_data_generator_onnx.posterior import posterior_arrays

    return posterior_arrays(model.stored)


@hookimpl
def weight_digest(model: "OnnxModel") -> str:
    """Return the digest of all weights and of the graph; ``""`` for a session whose file cannot be read again."""
    from probly_data_generator_onnx.weights import digest_model

    return digest_model(model.stored)


@hookimpl
def recognizes(model: Any) -> bool:
    """Claim sessions of ONNX Runtime and models of the onnx package."""
    claimed = {("onnxruntime", "InferenceSession"), ("onnx", "ModelProto")}
    return any((kind.__module__.partition(".")[0], kind.__name__) in claimed for kind in type(model).__mro__)


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
