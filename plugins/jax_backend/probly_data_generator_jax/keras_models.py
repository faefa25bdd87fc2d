"""Keras models that run on JAX, as functions of their weights."""

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp

from probly_data_generator_jax.forward import Function
from probly_data_generator_jax.telling import Teller, check_names

TRAINING = "training"


def split_keras(model: Any, layers: Sequence[str] = ()) -> tuple[Function, Any]:
    """Return a model as a function of its weights, and the weights: those to train, the others.

    Raises:
        TypeError: It runs on another framework.
    """
    running_on = sys.modules["keras"].backend.backend()
    if running_on != "jax":
        message = f"this Keras model runs on {running_on}: use backend={running_on!r}, or set KERAS_BACKEND=jax"
        raise TypeError(message)
    weights = tuple(
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    check_names(layers, dict(_inner(model)))
    states = {id(seeds.state) for layer in _flat(model) for seeds in _generators(layer)}
    places = [place for place, variable in enumerate(model.non_trainable_variables) if id(variable) in states]
    names = {id(layer): path for path, layer in _inner(model)}

    def function(weights: Any, inputs: Any, seed: Any = None) -> Any:
        trained, others = weights
        if seed is not None:
            others = list(others)
            for number, place in enumerate(places):
                word = jax.random.bits(jax.random.fold_in(jax.random.key(seed), number), dtype=jnp.uint32)
                others[place] = jnp.array([word, 0]).astype(others[place].dtype)
        call = functools.partial(model.stateless_call, trained, others, inputs, training=False)
        if seed is None and not layers:
            return call()[0]
        teller = Teller(_untold if seed is None else _told, layers, names)
        with _asking(model, teller):
            return teller.with_layers(call()[0])

    return function, weights


def _flat(model: Any) -> list[Any]:
    return list({id(layer): layer for layer in model._flatten_layers()}.values())  # noqa: SLF001  # no public name


def _inner(layer: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the layers inside a layer by their names, those of nested models behind the name of the model."""
    for inner in layer._flatten_layers(recursive=False, include_self=False):  # noqa: SLF001
        if type(inner).__name__ != "InputLayer":
            yield f"{above}{inner.name}", inner
            yield from _inner(inner, f"{above}{inner.name}/")


def _generators(layer: Any) -> Sequence[Any]:
    return getattr(layer, "_seed_generators", ())


def _untold(_: Any) -> dict[str, bool]:
    return {}


def _told(layer: Any) -> dict[str, bool]:
    """Let draw whatever can, and a recurrent layer, which draws the masks of its cell."""
    return {TRAINING: any(map(_generators, (layer, getattr(layer, "cell", None))))}


@contextmanager
def _asking(model: Any, teller: Teller) -> Iterator[None]:
    """Let the calls of a model's layers go through a teller for as long as the block runs."""
    layers = [(layer, vars(layer).get("call"), layer.call) for layer in _flat(model)]
    try:
        for layer, _, call in layers:
            vars(layer)["call"] = _through(teller, layer, call)  # past Keras's own __setattr__
        yield
    finally:
        for layer, own, _ in layers:
            if own is None:
                del vars(layer)["call"]
            else:
                vars(layer)["call"] = own


def _through(teller: Teller, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **named: teller.call(layer, call, args, named)
