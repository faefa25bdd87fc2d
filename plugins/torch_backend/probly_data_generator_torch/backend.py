"""The hooks. torch is imported inside their bodies only, so that listing backends stays free of it."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.toolkit.outputs import pick_scores
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.recognition import class_from
from probly.data_generator.toolkit.samples import Batch
from probly.data_generator.toolkit.trust import TRUST_OPTION

if TYPE_CHECKING:
    from probly_data_generator_torch.forward import TorchModel

SUFFIXES = (".pt2", ".pt", ".pth", ".ts", ".torchscript", ".safetensors")
"""Files of models; ``.safetensors`` is one of weights, which a ``(builder, weights)`` pair names."""
DEVICES: Final = ("cpu", "cuda", "xpu", "mps")
KNOWN: Final[Mapping[str, Collection[Any]]] = {
    "autocast": (None, "bfloat16", "float16"),
    "channels_last": (False, True),
    "compile": (False, True),
    "num_workers": range(1025),
    **TRUST_OPTION,
}
"""The allowed values of each option, the default first; see ``options``."""


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "TorchModel":
    """Accept a Module, a callable, an exported program, a file of one of these, or (builder, weight file)."""
    from probly.data_generator.toolkit.options import checked_options
    from probly_data_generator_torch.models import load
    from probly_data_generator_torch.options import with_options

    chosen = checked_options(options, KNOWN, "torch")
    return with_options(load(source, device, trust=chosen["trust"]), chosen)


@hookimpl
def iterate_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    model: "TorchModel",
    start: int,
    stop: int | None,
    label_getter: Getter | None,
) -> Iterator[Batch]:
    """Iterate over a Dataset, an IterableDataset, a DataLoader, tensors or NumPy arrays."""
    from probly_data_generator_torch.data import torch_batches
    from probly_data_generator_torch.state import held

    batches = torch_batches(
        dataset, batch_size, input_getter, index_getter, batched, start, stop, model.num_workers, label_getter
    )
    return held(model.parts, batches, start)


@hookimpl
def to_device(data: Any, device: str) -> Any:
    """Copy tensors and NumPy arrays to new memory on a torch device; or give tensors to NumPy."""
    from probly_data_generator_torch import arrays

    return arrays.to_host(data) if device == HOST else arrays.to_target(data, device)


@hookimpl
def forward(model: "TorchModel", inputs: Any, batch_size: int | None) -> Any:
    """Call the model once, without gradients and with dropout and batch statistics off."""
    outputs = model.outputs(inputs, batch_size)
    # None is no answer of a hook: this says that it is none of a model, either.
    return pick_scores(outputs) if outputs is None else outputs


@hookimpl
def stochastic_forward(model: "TorchModel", inputs: Any, batch_size: int | None, seed: int) -> Any:
    """Call the model once with dropout on, random numbers from the seed, and batch statistics off."""
    outputs = model.outputs(inputs, batch_size, seed)
    return pick_scores(outputs) if outputs is None else outputs


@hookimpl
def keep_layers(model: "TorchModel", layers: Sequence[str]) -> "TorchModel":
    """Return the model with what layers of ``module.named_modules()`` return beside its outputs."""
    return model.with_layers(layers)


@hookimpl
def posterior_params(model: "TorchModel") -> dict[str, dict[str, Any]]:
    """Return the paired ``*_mu`` and ``*_rho`` parameters as detached copies."""
    from probly_data_generator_torch.posterior import posterior_tensors

    return posterior_tensors(model.module)


@hookimpl
def recognizes(source: Any) -> Any:
    """Claim what torch defines, Keras models that run on torch, and paths of files that torch or safetensors writes."""
    if isinstance(source, Path):
        return source.suffix.lower() in SUFFIXES
    keras = class_from(source, "keras")
    if keras is not None:
        return keras if sys.modules["keras"].config.backend() == "torch" else False
    return class_from(source, "torch") or False


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
def weight_digest(model: "TorchModel") -> str:
    """Return the digest of everything that a model computes with: tensors, attributes, code of TorchScript."""
    from probly_data_generator_torch.digest import digest_of_model

    return digest_of_model(model.function)


@hookimpl
def data_digest(dataset: Any) -> str | None:
    """Return the digest of a TensorDataset or of (nested) Subsets of one."""
    from probly_data_generator_torch.digest import digest_of_data

    return digest_of_data(dataset)


@hookimpl
def available_devices() -> list[str]:
    """Return the CPU and the accelerators that torch sees."""
    from probly_data_generator_torch.devices import device_names

    return device_names()


@hookimpl
def choices() -> dict[str, Collection[Any]]:
    """Return the kinds of devices that torch has, and what options take."""
    return {"device": DEVICES, **KNOWN}
