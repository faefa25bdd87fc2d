"""From any live model to a function of weights and inputs."""

import functools
import operator
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from probly.data_generator.toolkit.calling import call_with
from probly.data_generator.toolkit.importing import import_model
from probly_data_generator_jax.devices import device_of, resolve_device
from probly_data_generator_jax.forward import Function, JaxModel
from probly_data_generator_jax.telling import with_key


def is_instance(value: Any, module: str, name: str) -> bool:
    """Return whether a value is of a class of a library that need not be installed.

    Examples:
        >>> is_instance(1, "builtins", "int"), is_instance(1, "no_such_library", "Module")
        (True, False)
    """
    # Whoever made such an object has imported its library.
    return isinstance(value, getattr(sys.modules.get(module), name, ()))


def load(source: Any, device: str | None, *, donate: bool = False) -> JaxModel:
    """Return the model of any source on a device; a live module is copied, never changed or moved.

    Args:
        source: See the hook ``load_model``.
        device: The name of a device; None to stay where the weights are.
        donate: See ``JaxModel``.

    Raises:
        TypeError: ``source`` is no model that runs on JAX.
        ValueError: A text is not of the form ``"module:attribute"``, or the device is not available.
    """
    named = isinstance(source, str | Path)
    if named:
        source = import_model(str(source))
    if is_instance(source, "equinox", "Module"):
        from probly_data_generator_jax.equinox_modules import is_filter_jit

        # We compile it ourselves, with its weights as arguments.
        source = source.__wrapped__ if is_filter_jit(source) else source
    function, weights = _split(source)
    placement = resolve_device(device) if named or device is not None else device_of(weights)
    # What the user's own jax.jit compiled lasts from run to run; only inputs that are donated take another program.
    # One that was compiled ahead of time cannot even be traced.
    jitted = isinstance(source, jax.stages.Wrapped) and not donate
    compiled = jitted or isinstance(source, jax.stages.Compiled)
    model = JaxModel(function, weights, placement, source, compiled=compiled, donate=donate)
    model.is_current = functools.partial(_holds, source, jax.tree.leaves(weights))
    return model


def keep_layers(model: JaxModel, layers: Sequence[str]) -> JaxModel:
    """Return a model whose outputs come with those of some of its layers; it has the same weights.

    Raises:
        ValueError: There is no such layer, or it is a function, which shows none.
    """
    function, _ = _split(model.source, layers)
    return JaxModel(function, model.weights, model.placement, model.source, donate=model.donate)


def _holds(source: Any, arrays: list[Any]) -> bool:
    """Return whether the weights of a live model are still these; what trains it puts others in their place."""
    found = jax.tree.leaves(_split(source)[1])
    return len(found) == len(arrays) and all(map(operator.is_, found, arrays))


def _split(source: Any, layers: Sequence[str] = ()) -> tuple[Function, Any]:
    """Return a function of weights and inputs, and the weights; those that a plain function closes over stay in it."""
    if is_instance(source, "flax.nnx", "Module"):
        from probly_data_generator_jax.flax_modules import split_nnx

        return split_nnx(source, layers)
    if is_instance(source, "flax.linen", "Module"):
        from probly_data_generator_jax.flax_modules import split_linen

        return split_linen(source, layers)
    if is_instance(source, "equinox", "Module"):
        from probly_data_generator_jax.equinox_modules import split_equinox

        return split_equinox(source, layers)
    if is_instance(source, "keras", "Model"):
        from probly_data_generator_jax.keras_models import split_keras

        return split_keras(source, layers)
    if isinstance(source, tuple) and source and is_instance(source[0], "flax.linen", "Module"):
        message = (
            f"expected one model, got a tuple of a {type(source[0]).__name__} and more; bind its weights to a "
            "flax.linen module: module.bind(variables)"
        )
        raise TypeError(message)
    if not callable(source):
        message = f'expected a function, a flax, equinox or Keras model, or "module:attribute", got {type(source)}'
        raise TypeError(message)
    if layers:
        message = "keep: a function shows no layers; pass the module itself, of flax, equinox or Keras"
        raise ValueError(message)
    return functools.partial(_called, source), ()


def _called(source: Any, _: Any, inputs: Any, seed: Any = None) -> Any:
    return call_with(source if seed is None else with_key(source, jax.random.key(seed)), inputs)
