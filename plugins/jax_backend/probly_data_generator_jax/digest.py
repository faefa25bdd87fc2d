"""What tells one model from another: its arrays, its settings and its functions, whatever library it is of."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probly.data_generator.toolkit.contents import SKIP
from probly.data_generator.toolkit.digest import digest_state
from probly.data_generator.toolkit.layers import layer_parts
from probly_data_generator_jax.models import is_instance

MODES = frozenset({"deterministic", "use_running_average", "inference", "parent", "name"})
"""What is switched while a model runs, and where it hangs in another one."""

PLACES = re.compile(r'^#loc.*$| loc\((?:[^()"]|"[^"]*")*\)', re.MULTILINE)
"""Where the code of an exported program was written, in its text."""


def digest_of_model(source: Any) -> str:
    """Return the digest of everything that a model computes with; see ``toolkit.digest.digest_state``.

    Random keys are left out: inference draws nothing.

    Examples:
        >>> digests = [digest_of_model({"scale": jnp.full(2, scale)}) for scale in (1.0, 2.0)]
        >>> digests[0] == digests[1]
        False
    """
    return digest_state(source, parts_of)


def parts_of(value: Any) -> Any:
    """Return the parts of an object of jax, flax, equinox or Keras; see ``toolkit.contents.Look``.

    Examples:
        >>> parts_of(jax.numpy.zeros(2))
        ['float32', array([0., 0.], dtype=float32)]
        >>> parts_of("text") is None
        True
    """
    if isinstance(value, jax.Array):
        # A random key; NumPy has no such dtype.
        random = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        return SKIP if random else [str(value.dtype), np.asarray(value)]
    if is_instance(value, "flax.nnx", "Variable"):
        random = is_instance(value, "flax.nnx", "RngState")
        return SKIP if random else [value.get_value() if hasattr(value, "get_value") else value.value]
    streams = is_instance(value, "flax.nnx", "RngStream") or is_instance(value, "flax.nnx", "Rngs")
    if streams or isinstance(value, jax.stages.Compiled):  # nobody can look into a compiled program
        return SKIP
    if is_instance(value, "flax.nnx", "Pytree") or is_instance(value, "flax.nnx", "Module"):
        # Names that begin so are what flax keeps of each object.
        own = {name: part for name, part in vars(value).items() if not name.startswith(("_pytree__", "_object__"))}
        return [_settings(own)]
    if is_instance(value, "flax.linen", "Module"):
        return [_fields(value), None if value.scope is None else value.variables]
    return _other_parts(value)


def _other_parts(value: Any) -> Any:
    if is_instance(value, "jax.export", "Exported"):
        shapes = [str(part) for part in (value.in_tree, value.in_avals, value.out_tree, value.platforms)]
        return [PLACES.sub("", value.mlir_module()), shapes]
    if is_instance(value, "equinox", "Module"):
        return [_fields(value)]
    if not is_instance(value, "keras", "Layer"):
        return None
    inner = value._flatten_layers(include_self=False)  # noqa: SLF001  # Keras has no public name for it
    return layer_parts(value, list(inner), lambda weight: np.asarray(weight.value))


def _fields(module: Any) -> dict[str, Any]:
    names = (field.name for field in dataclasses.fields(module))
    return _settings({name: getattr(module, name) for name in names if hasattr(module, name)})


def _settings(own: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in own.items() if name not in MODES}
