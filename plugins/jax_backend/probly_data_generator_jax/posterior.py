"""The variational parameters of Bayesian layers in flax, equinox and Keras models."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from probly.data_generator.toolkit.posterior import pair_mu_rho
from probly_data_generator_jax.models import is_instance


def posterior_arrays(source: Any) -> dict[str, dict[str, Any]]:
    """Return ``{layer: {"mu": ..., "rho": ...}}`` of layers with parameters ``*_mu`` and ``*_rho``.

    Args:
        source: A flax, equinox or Keras model; what is returned are copies, which outlive donated buffers.

    Raises:
        ValueError: There is no such layer; a plain function shows no parameters.
    """
    layers = pair_mu_rho(named_parameters(source))
    return {layer: {name: jnp.array(array) for name, array in pair.items()} for layer, pair in layers.items()}


def named_parameters(source: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parameters of a model by their dotted paths."""
    if is_instance(source, "keras", "Model"):
        for variable in source.weights:
            yield variable.path.removeprefix(f"{source.name}/").replace("/", "."), variable.value
        return
    for path, leaf in jax.tree_util.tree_leaves_with_path(_tree(source)):
        yield ".".join(map(_name, path)).removesuffix(".value"), leaf  # where flax.nnx keeps a variable's array


def _tree(source: Any) -> Any:
    if is_instance(source, "flax.nnx", "Module"):
        from flax import nnx

        return nnx.state(source)
    if is_instance(source, "flax.linen", "Module"):
        return source.variables["params"]
    return source if is_instance(source, "equinox", "Module") else ()


def _name(key: Any) -> str:
    """Return the bare text of a step in a pytree: a dict's key, an attribute's name, a sequence's index."""
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
