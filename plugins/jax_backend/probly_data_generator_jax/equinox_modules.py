"""equinox modules as functions of their weights."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import equinox
import jax

from probly.data_generator.toolkit.calling import call_with
from probly.data_generator.toolkit.nests import count_rows
from probly.data_generator.toolkit.outputs import Kept
from probly_data_generator_jax.forward import Function
from probly_data_generator_jax.telling import Teller, ask, check_names, telling, with_key

INFERENCE = "inference"


def is_filter_jit(module: Any) -> bool:
    """Return whether a module is what ``equinox.filter_jit`` made of a function."""
    jitted: Any = type(equinox.filter_jit(_identity))
    return isinstance(module, jitted)


def split_equinox(module: Any, layers: Sequence[str] = ()) -> tuple[Function, Any]:
    """Return a module as a function of its weights, and the weights.

    Raises:
        TypeError: Its state is not with it.
    """
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
    check_names(layers, dict(_inner(copy)))
    weights, static = equinox.partition(copy, equinox.is_array)
    inner = module.func if isinstance(module, equinox.Partial) else module
    per_sample = isinstance(inner, equinox.Module) and not isinstance(inner, mapped)

    def function(weights: Any, inputs: Any, seed: Any = None) -> Any:
        if seed is not None and isinstance(inner, mapped):
            message = "passes: equinox.filter_vmap takes no key; pass the module itself, which is mapped over "
            raise ValueError(message + "the rows, or a function of inputs and key")
        model = equinox.combine(weights, static)  # made for this call
        names = _asking(model, drawing=seed is not None) if layers or seed is not None else {}
        told = _untold if seed is None else _told

        def answer(key: Any, *args: Any, **named: Any) -> Any:
            teller = Teller(told, layers, names)
            with telling(teller):
                outputs = (model if key is None else with_key(model, key, inner))(*args, **named)
            # A model with a state returns the next one, too, and begins every batch with the one that it was given.
            has_state = isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], equinox.nn.State)
            return outputs[0] if has_state else outputs, teller.layers()

        keys, call = None if seed is None else jax.random.key(seed), answer
        if per_sample:
            keys = None if keys is None else jax.random.split(keys, count_rows(inputs))
            call = jax.vmap(answer, axis_name="batch")
        outputs, found = call_with(functools.partial(call, keys), inputs, model)
        return Kept(outputs, found) if found else outputs

    return function, weights


def _inner(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the modules inside of a module by their paths, such as ``layers.0``."""
    if isinstance(part, equinox.Module):
        own: Mapping[Any, Any] = vars(part)
    else:
        own = part if isinstance(part, dict) else dict(enumerate(part)) if isinstance(part, list | tuple) else {}
    for name, value in own.items():
        if isinstance(value, equinox.Module):
            yield f"{path}{name}", value
        yield from _inner(value, f"{path}{name}.")


def _asking(model: Any, *, drawing: bool) -> dict[int, str]:
    """Let the modules of a model that is made for one call go through the teller; return their names."""
    names = {}
    for path, part in [("", model), *_inner(model)]:
        names[id(part)] = path
        if drawing and isinstance(getattr(part, INFERENCE, None), bool):
            object.__setattr__(part, INFERENCE, _told(part)[INFERENCE])
        if callable(part):
            ask(part)
    return names


def _untold(_: Any) -> dict[str, bool]:
    return {}


def _told(module: Any) -> dict[str, bool]:
    """Keep the statistics of normalisation, which has a state, as they are."""
    return {INFERENCE: isinstance(module, equinox.nn.StatefulLayer)}


def _identity(value: Any) -> Any:
    return value
