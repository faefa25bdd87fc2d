"""The hooks. torch is imported inside their bodies only, so that listing backends stays free of it."""

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from probly.data_generator.hookspecs import HOST, OutputMode, hookimpl
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.samples import Batch, Getter

if TYPE_CHECKING:
    from probly_data_generator_torch.forward import TorchModel


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "TorchModel":
    """Accept a Module, a callable, an exported program, a file of one of these, or (builder, weight file)."""
    from probly_data_generator_torch.devices import resolve_device
    from probly_data_generator_torch.models import load
    from probly_data_generator_torch.options import KNOWN, with_options

    chosen = checked_options(options, KNOWN, "torch")
    return with_options(load(source, resolve_device(device)), chosen)


@hookimpl
def iterate_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    model: "TorchModel",
    start: int,
) -> Iterator[Batch]:
    """Iterate over a Dataset, an IterableDataset, a DataLoader, tensors or NumPy arrays."""
    from probly_data_generator_torch.data import torch_batches

    return torch_batches(dataset, batch_size, input_getter, index_getter, batched, start, model.num_workers)


@hookimpl
def to_device(data: Any, device: str) -> Any:
    """Copy tensors and NumPy arrays to new memory on a torch device; or give tensors to NumPy, without a copy."""
    from probly_data_generator_torch import tensors  # per batch, for which names of its own would take twice as long

    return tensors.to_host(data) if device == HOST else tensors.to_target(data, device)


@hookimpl
def forward(model: "TorchModel", inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
    """Run the model without gradients and with dropout and batch statistics off."""
    return model.infer(inputs, output_mode, batch_size)


@hookimpl
def posterior_params(model: "TorchModel") -> dict[str, dict[str, Any]]:
    """Return the paired ``*_mu`` and ``*_rho`` parameters as detached copies."""
    from probly_data_generator_torch.posterior import posterior_tensors

    return posterior_tensors(model.module)


@hookimpl
def weight_digest(model: "TorchModel") -> str:
    """Return the digest of all parameters and buffers; what a plain function refers to cannot be seen."""
    from probly.data_generator.run.identity import digest
    from probly_data_generator_torch.models import byte_arrays

    return "" if model.module is None else digest(byte_arrays(model.module))


@hookimpl
def recognizes(model: Any) -> bool:
    """Claim what torch defines, and Keras models that run on torch."""
    roots = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "keras" in roots:
        return bool(sys.modules["keras"].config.backend() == "torch")
    return "torch" in roots


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device or the host ran out of memory."""
    import torch

    # The CPU allocator and some libraries under torch raise plain RuntimeErrors.
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
    )


@hookimpl
def available_devices() -> list[str]:
    """Return the CPU and the accelerators that torch sees."""
    from probly_data_generator_torch.devices import device_names

    return device_names()
