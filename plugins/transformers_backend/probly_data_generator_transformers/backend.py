"""The hooks. A classifier of transformers is a torch module, so most of them are those of the torch backend.

torch and transformers are imported inside hook bodies only, so that listing backends imports neither.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.recognition import class_from
from probly.data_generator.toolkit.samples import Batch
from probly.data_generator.toolkit.trust import TRUST
from probly_data_generator_torch.backend import (
    DEVICES,
    available_devices,
    data_digest,
    forward,
    is_out_of_memory,
    keep_layers,
    posterior_params,
    stochastic_forward,
    to_device,
)
from probly_data_generator_torch.backend import KNOWN as KNOWN_TO_TORCH

if TYPE_CHECKING:
    from probly_data_generator_transformers.forward import TransformersModel

KNOWN: Final[Mapping[str, Collection[Any]]] = {
    name: allowed for name, allowed in KNOWN_TO_TORCH.items() if name != TRUST
}
"""The allowed values of each option, the default first: those of torch, but that nothing here wants trust."""

__all__ = [
    "available_devices",
    "choices",
    "data_digest",
    "forward",
    "is_out_of_memory",
    "iterate_batches",
    "keep_layers",
    "load_model",
    "posterior_params",
    "recognizes",
    "stochastic_forward",
    "to_device",
    "weight_digest",
]


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "TransformersModel":
    """Accept a saved folder, a model, (model, tokenizer or image processor), or a classification pipeline."""
    from probly.data_generator.toolkit.options import checked_options
    from probly_data_generator_transformers.models import load

    return load(source, device, checked_options(options, KNOWN, "transformers"))


@hookimpl
def iterate_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    model: "TransformersModel",
    start: int,
    stop: int | None,
    label_getter: Getter | None,
) -> Iterator[Batch]:
    """Iterate over texts, pairs of texts, pictures or tokenised samples, in any dataset or loader that torch reads."""
    from probly_data_generator_transformers.data import batches_for

    return batches_for(model, dataset, batch_size, input_getter, index_getter, batched, start, stop, label_getter)


@hookimpl
def recognizes(source: Any) -> Any:
    """Claim folders with a ``config.json``, models and pipelines of transformers, and pairs with one of its objects."""
    if isinstance(source, Path):
        return (source / "config.json").is_file()
    if type(source) is tuple:
        return len(source) == 2 and any(class_from(part, "transformers") for part in source)
    found = class_from(source, "transformers")
    is_pipeline = found is not None and found.__module__.startswith("transformers.pipelines.")
    return found if is_pipeline or class_from(source, "torch") else False


@hookimpl
def weight_digest(model: "TransformersModel") -> str:
    """Return the digest of everything that a model computes with, its tokenizer or image processor included."""
    from probly_data_generator_transformers.digest import digest_of_model

    return digest_of_model(model)


@hookimpl
def choices() -> dict[str, Collection[Any]]:
    """Return the kinds of devices that torch has, and what options take."""
    return {"device": DEVICES, **KNOWN}
