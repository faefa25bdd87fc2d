"""The hooks. jax is imported inside their bodies only, so that listing backends stays free of it."""

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from probly.data_generator.hookspecs import HOST, OutputMode, hookimpl
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.samples import Batch, Getter

if TYPE_CHECKING:
    from probly_data_generator_jax.forward import JaxModel


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "JaxModel":
    """Accept a function, a flax or equinox module, a Keras model on JAX, or ``"module:attribute"``."""
    from probly_data_generator_jax.devices import resolve_device
    from probly_data_generator_jax.models import load

    chosen = checked_options(options, {"donate": (False, True)}, "jax")
    model = load(source, resolve_device(device))
    model.donate = chosen["donate"]
    return model


@hookimpl
def iterate_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int,
) -> Iterator[Batch]:
    """Iterate over arrays, sequences, iterables and loaders, those of torch included."""
    from probly_data_generator_jax.data import jax_batches

    return jax_batches(dataset, batch_size, input_getter, index_getter, batched, start)


@hookimpl
def to_device(data: Any, device: str) -> Any:
    """Move numeric arrays of any library to JAX devices, or to NumPy."""
    from probly_data_generator_jax.devices import resolve_device, to_host

    return to_host(data) if device == HOST else resolve_device(device).put(data)


@hookimpl
def forward(model: "JaxModel", inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
    """Dispatch the compiled step and return at once; a ragged batch is padded, so that nothing compiles twice."""
    return model(inputs, output_mode, batch_size)


@hookimpl
def posterior_params(model: "JaxModel") -> dict[str, dict[str, Any]]:
    """Return the paired ``*_mu`` and ``*_rho`` parameters as copies."""
    from probly_data_generator_jax.posterior import posterior_arrays

    return posterior_arrays(model.source)


@hookimpl
def weight_digest(model: "JaxModel") -> str:
    """Return the digest of all numbers among a module's weights; what a plain function refers to cannot be seen."""
    import jax
    import numpy as np

    from probly.data_generator.run.identity import digest
    from probly_data_generator_jax.devices import is_number

    leaves = jax.tree_util.tree_leaves_with_path(model.weights)
    found = ((path, leaf) for path, leaf in leaves if hasattr(leaf, "dtype") and is_number(leaf.dtype))
    numbers = [(str(path), np.asarray(leaf)) for path, leaf in found]
    return digest(numbers) if numbers else ""


@hookimpl
def recognizes(model: Any) -> bool:
    """Claim what jax, flax and equinox define, and Keras models that run on JAX; a plain function tells nothing."""
    roots = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "keras" in roots:
        return bool(sys.modules["keras"].config.backend() == "jax")
    return not roots.isdisjoint({"jax", "jaxlib", "flax", "equinox"})


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
