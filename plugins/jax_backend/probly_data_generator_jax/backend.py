"""The hooks. jax is imported inside their bodies only, so that listing backends stays free of it."""

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.recognition import class_from
from probly.data_generator.toolkit.samples import Batch

if TYPE_CHECKING:
    from probly_data_generator_jax.forward import JaxModel

DEVICES: Final = ("cpu", "gpu", "tpu", "cpu:all", "gpu:all", "tpu:all")
KNOWN: Final[Mapping[str, Collection[Any]]] = {"donate": (False, True)}
"""The allowed values of each option, the default first."""


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "JaxModel":
    """Accept a function, a flax or equinox module, a Keras model on JAX, or ``"module:attribute"``."""
    from probly_data_generator_jax.models import load

    chosen = checked_options(options, KNOWN, "jax")
    return load(source, device, donate=chosen["donate"])


@hookimpl
def iterate_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int,
    stop: int | None,
    label_getter: Getter | None,
) -> Iterator[Batch]:
    """Iterate over arrays, sequences, iterables and loaders, those of torch included."""
    from probly_data_generator_jax.data import jax_batches

    return jax_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, label_getter)


@hookimpl
def to_device(data: Any, device: str) -> Any:
    """Copy numeric arrays of any library to JAX devices, or to NumPy."""
    from probly_data_generator_jax.arrays import to_host
    from probly_data_generator_jax.devices import resolve_device

    return to_host(data) if device == HOST else resolve_device(device).put(data)


@hookimpl
def forward(model: "JaxModel", inputs: Any, batch_size: int | None) -> Any:
    """Dispatch the compiled model and return at once; a ragged batch is padded, so that nothing compiles twice."""
    return model(inputs, batch_size)


@hookimpl
def stochastic_forward(model: "JaxModel", inputs: Any, batch_size: int | None, seed: int) -> Any:
    """Dispatch the compiled model with what is random in it active, and its random keys from the seed."""
    return model(inputs, batch_size, seed)


@hookimpl
def keep_layers(model: "JaxModel", layers: Sequence[str]) -> "JaxModel":
    """Note down what modules inside of the model return."""
    from probly_data_generator_jax import models

    return models.keep_layers(model, layers)


@hookimpl
def posterior_params(model: "JaxModel") -> dict[str, dict[str, Any]]:
    """Return the paired ``*_mu`` and ``*_rho`` parameters as copies."""
    from probly_data_generator_jax.posterior import posterior_arrays

    return posterior_arrays(model.source)


@hookimpl
def weight_digest(model: "JaxModel") -> str:
    """Return the digest of everything that a model computes with: arrays, fields, functions and their closures."""
    from probly_data_generator_jax.digest import digest_of_model

    return digest_of_model(model.source)


@hookimpl
def recognizes(source: Any) -> type | bool:
    """Claim what jax, flax, equinox and haiku define, and Keras on JAX; a plain function tells nothing."""
    keras_class = class_from(source, "keras")
    if keras_class is not None:  # whoever made it has imported keras
        return keras_class if sys.modules["keras"].backend.backend() == "jax" else False
    return class_from(source, "jax", "jaxlib", "flax", "equinox", "haiku") or False


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device or the host ran out of memory."""
    import jax

    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and ("resource_exhausted" in text or "out of memory" in text)
    )


@hookimpl
def available_devices() -> list[str]:
    """Return the devices of this process, each kind alone and together."""
    from probly_data_generator_jax.devices import device_names

    return device_names()


@hookimpl
def choices() -> dict[str, Collection[Any]]:
    """Return the first device of each kind, all of a kind, and what options take."""
    return {"device": DEVICES, **KNOWN}
