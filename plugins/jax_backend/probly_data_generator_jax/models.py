"""From any live model to a function of weights and inputs."""

import functools
import operator
import sys
from pathlib import Path
from typing import Any

import jax

from probly.data_generator.toolkit.calling import call_with
from probly.data_generator.toolkit.importing import import_model
from probly_data_generator_jax.devices import device_of, resolve_device
from probly_data_generator_jax.forward import Function, JaxModel


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
    if is_instance(source, "equinox", "Module") and _is_filter_jit(source):
        source = source.__wrapped__  # we compile it ourselves, with its weights as arguments
    function, weights = _split(source)
    placement = resolve_device(device) if named or device is not None else device_of(weights)
    # What the user's own jax.jit compiled lasts from run to run; only inputs that are donated take another program.
    # One that was compiled ahead of time cannot even be traced.
    jitted = isinstance(source, jax.stages.Wrapped) and not donate
    compiled = jitted or isinstance(source, jax.stages.Compiled)
    model = JaxModel(function, weights, placement, source, compiled=compiled, donate=donate)
    model.is_current = functools.partial(_holds, source, jax.tree.leaves(weights))
    return model


def _holds(source: Any, arrays: list[Any]) -> bool:
    """Return whether the weights of a live model are still these; what trains it puts others in their place."""
    found = jax.tree.leaves(_split(source)[1])
    return len(found) == len(arrays) and all(map(operator.is_, found, arrays))


def _split(source: Any) -> tuple[Function, Any]:
    """Return a function of weights and inputs, and the weights; those that a plain function closes over stay in it."""
    if is_instance(source, "flax.nnx", "Module"):
        return _split_nnx(source)
    if is_instance(source, "flax.linen", "Module"):
        return _split_linen(source)
    if is_instance(source, "equinox", "Module"):
        return _split_equinox(source)
    if is_instance(source, "keras", "Model"):
        return _split_keras(source)
    if isinstance(source, tuple) and source and is_instance(source[0], "flax.linen", "Module"):
        message = (
            f"expected one model, got a tuple of a {type(source[0]).__name__} and more; bind its weights to a "
            "flax.linen module: module.bind(variables)"
        )
        raise TypeError(message)
    if not callable(source):
        message = f'expected a function, a flax, equinox or Keras model, or "module:attribute", got {type(source)}'
        raise TypeError(message)
    return lambda _, inputs: call_with(source, inputs), ()


def _split_nnx(module: Any) -> tuple[Function, Any]:
    from flax import nnx

    copy = nnx.clone(module)
    nnx.Module.eval(copy)  # a method of that name of the user's own may mean something else
    graph, weights = nnx.split(copy)
    return lambda weights, inputs: call_with(nnx.merge(graph, weights), inputs), weights


def _split_linen(module: Any) -> tuple[Function, Any]:
    import flax.errors

    if module.scope is None:
        message = f"{type(module).__name__} is a flax.linen module without weights; pass module.bind(variables)"
        raise TypeError(message)
    unbound, variables = module.unbind()
    mutable = module.scope.mutable  # what the user has bound it with, or False

    def function(weights: Any, inputs: Any) -> Any:
        # What a batch leaves in a collection is dropped: the next one begins with that of the bound module again.
        called = call_with(functools.partial(unbound.apply, weights, mutable=mutable), inputs, unbound)
        return called if mutable is False else called[0]

    def explained(weights: Any, inputs: Any) -> Any:
        try:
            return function(weights, inputs)
        except flax.errors.ModifyScopeVariableError as error:
            error.add_note(
                "the module keeps a state: bind it with module.bind(variables, mutable=[...]) and the names of its "
                "collections, then each batch begins with the state of these variables"
            )
            raise

    return explained, variables


def _split_equinox(module: Any) -> tuple[Function, Any]:
    import equinox

    mapped: Any = type(equinox.filter_vmap(_identity))
    nodes = jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, equinox.nn.State | equinox.nn.StateIndex))
    kinds = set(map(type, nodes))
    if equinox.nn.StateIndex in kinds and equinox.nn.State not in kinds:
        message = (
            f"{type(module).__name__} keeps its state in an equinox.nn.State of its own; pass "
            "equinox.Partial(model, state=state), with the name that its __call__ gives to it"
        )
        raise TypeError(message)
    copy = equinox.nn.inference_mode(module)
    weights, static = equinox.partition(copy, equinox.is_array)
    inner = module.func if isinstance(module, equinox.Partial) else module
    per_sample = isinstance(inner, equinox.Module) and not isinstance(inner, mapped)

    def function(weights: Any, inputs: Any) -> Any:
        model = equinox.combine(weights, static)
        outputs = call_with(jax.vmap(model, axis_name="batch") if per_sample else model, inputs, model)
        # A model with a state returns the next one, too, and begins every batch with the one that it was given.
        has_state = isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], equinox.nn.State)
        return outputs[0] if has_state else outputs

    return function, weights


def _split_keras(model: Any) -> tuple[Function, Any]:
    running_on = sys.modules["keras"].backend.backend()
    if running_on != "jax":
        message = f"this Keras model runs on {running_on}: use backend={running_on!r}, or set KERAS_BACKEND=jax"
        raise TypeError(message)
    weights = tuple(
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return lambda weights, inputs: model.stateless_call(*weights, inputs, training=False)[0], weights


def _is_filter_jit(module: Any) -> bool:
    import equinox

    jitted: Any = type(equinox.filter_jit(_identity))
    return isinstance(module, jitted)


def _identity(value: Any) -> Any:
    return value
