"""From any source to a function of weights and inputs."""

import sys
from pathlib import Path
from typing import Any

import jax

from probly.data_generator.toolkit.importing import import_model
from probly_data_generator_jax.devices import Placement
from probly_data_generator_jax.forward import JaxModel


def is_instance(value: Any, module: str, name: str) -> bool:
    """Return whether a value is of a class of a library that need not be installed.

    Examples:
        >>> is_instance(1, "builtins", "int"), is_instance(1, "no_such_library", "Module")
        (True, False)
    """
    # Whoever made such an object has imported its library.
    return isinstance(value, getattr(sys.modules.get(module), name, ()))


def load(source: Any, placement: Placement) -> JaxModel:
    """Return the model of any source on a device; a live module is copied, never changed or moved.

    Raises:
        TypeError: ``source`` is no model that runs on JAX.
        ValueError: A text is not of the form ``"module:attribute"``.
    """
    if isinstance(source, str | Path):
        source = import_model(str(source))
    if is_instance(source, "flax.nnx", "Module"):
        return _nnx(source, placement)
    if is_instance(source, "flax.linen", "Module"):
        return _linen(source, placement)
    if is_instance(source, "equinox", "Module"):
        return _equinox(source, placement)
    if is_instance(source, "keras", "Model"):
        return _keras(source, placement)
    if not callable(source):
        message = f'expected a function, a flax, equinox or Keras model, or "module:attribute", got {type(source)}'
        raise TypeError(message)
    # A function that jax has compiled ahead of time can be called, but not traced.
    return JaxModel(
        lambda _, inputs: source(inputs),
        (),
        placement,
        source,
        traceable=not isinstance(source, jax.stages.Compiled),
    )


def _nnx(module: Any, placement: Placement) -> JaxModel:
    from flax import nnx

    copy = nnx.clone(module)
    copy.eval()
    graph, weights = nnx.split(copy)

    def function(weights: Any, inputs: Any) -> Any:
        # merge takes the variables themselves, and an uncompiled step would leave its changes in them.
        return nnx.merge(graph, jax.tree.map(lambda leaf: leaf, weights))(inputs)

    return JaxModel(function, weights, placement, module)


def _linen(module: Any, placement: Placement) -> JaxModel:
    if module.scope is None:
        message = f"{type(module).__name__} is a flax.linen module without weights; pass module.bind(variables)"
        raise TypeError(message)
    unbound, variables = module.unbind()
    return JaxModel(unbound.apply, variables, placement, module)


def _equinox(module: Any, placement: Placement) -> JaxModel:
    import equinox

    jitted: Any = type(equinox.filter_jit(_identity))
    mapped: Any = type(equinox.filter_vmap(_identity))
    if isinstance(module, jitted):  # we compile it ourselves, with its weights as arguments
        return load(module.__wrapped__, placement)
    copy = equinox.nn.inference_mode(module)
    weights, static = equinox.partition(copy, equinox.is_array)
    inner = module.func if isinstance(module, equinox.Partial) else module
    per_sample = isinstance(inner, equinox.Module) and not isinstance(inner, mapped)

    def function(weights: Any, inputs: Any) -> Any:
        model = equinox.combine(weights, static)
        return jax.vmap(model, axis_name="batch")(inputs) if per_sample else model(inputs)

    return JaxModel(function, weights, placement, module)


def _keras(model: Any, placement: Placement) -> JaxModel:
    running_on = sys.modules["keras"].config.backend()
    if running_on != "jax":
        message = f"this Keras model runs on {running_on}: use backend={running_on!r}, or set KERAS_BACKEND=jax"
        raise TypeError(message)
    weights = tuple(
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return JaxModel(
        lambda weights, inputs: model.stateless_call(*weights, inputs, training=False)[0], weights, placement, model
    )


def _identity(value: Any) -> Any:
    return value
