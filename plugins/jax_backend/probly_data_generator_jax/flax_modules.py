"""flax modules as functions of their weights: nnx and linen."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import flax.errors
import flax.linen
import jax
import jax.numpy as jnp
from flax import nnx

from probly.data_generator.toolkit.calling import call_with, signature_of
from probly_data_generator_jax.forward import Function
from probly_data_generator_jax.telling import Teller, Told, ask, check_names, draws, telling

DRAWING = {"deterministic": False, "use_running_average": True}
"""What flax calls the switches of what is random, and of normalisation by a batch's own statistics."""
BY_HAND = {"train": True, "training": True}
"""What users call the one of a module that they wrote, and that draws by itself."""


def split_nnx(module: Any, layers: Sequence[str] = ()) -> tuple[Function, Any]:
    """Return a module as a function of its weights, and the weights: random keys, their counts, all else."""
    copy = nnx.clone(module)
    nnx.Module.eval(copy)  # a method of that name of the user's own may mean something else
    check_names(layers, (path for path, _ in _inner(copy)))
    graph, *weights = nnx.split(copy, nnx.RngKey, nnx.RngCount, ...)

    def function(weights: Any, inputs: Any, seed: Any = None) -> Any:
        keys, counts, rest = weights
        if seed is not None:
            keys, counts = _seeded(keys, seed), jax.tree.map(jnp.zeros_like, counts)
        model = nnx.merge(graph, keys, counts, rest)
        if seed is None and not layers:
            return call_with(model, inputs)
        told = _untold if seed is None else _told
        teller = Teller(told, layers, _asking(model, told))
        with telling(teller):
            return teller.with_layers(call_with(model, inputs))

    return function, tuple(weights)


def _inner(model: Any) -> Iterator[tuple[str, Any]]:
    for path, part in nnx.iter_graph(model):
        if path and isinstance(part, nnx.Module):
            yield ".".join(map(str, path)), part


def _untold(_: Any) -> Mapping[str, bool]:
    return {}


def _told(module: Any) -> Mapping[str, bool]:
    return {**DRAWING, **BY_HAND} if draws(module.__class__) else DRAWING


def _asking(model: Any, told: Told) -> dict[int, str]:
    """Let the modules of a model that is made for one call go through the teller; return their names."""
    names = {}
    for path, part in [("", model), *_inner(model)]:
        for name, value in told(part).items():
            if isinstance(getattr(part, name, None), bool):
                setattr(part, name, value)
        names[id(part)] = path
        if callable(part):
            ask(part)
    return names


def _seeded(keys: Any, seed: Any) -> Any:
    """Return random keys that follow from a seed, in place of others."""
    leaves, structure = jax.tree.flatten(keys)
    return jax.tree.unflatten(structure, [_key_like(leaf, seed, number) for number, leaf in enumerate(leaves)])


def _key_like(leaf: Any, seed: Any, number: int) -> Any:
    key = jax.random.fold_in(jax.random.key(seed, impl=jax.random.key_impl(leaf)), number)
    return jax.random.split(key, leaf.shape) if leaf.shape else key


def split_linen(module: Any, layers: Sequence[str] = ()) -> tuple[Function, Any]:
    """Return a bound module as a function of its weights, and the weights.

    Raises:
        TypeError: It has no weights.
    """
    if module.scope is None:
        message = f"{type(module).__name__} is a flax.linen module without weights; pass module.bind(variables)"
        raise TypeError(message)
    unbound, variables = module.unbind()
    mutable = module.scope.mutable  # what the user has bound it with, or False

    def function(weights: Any, inputs: Any, seed: Any = None) -> Any:
        # Every collection draws from this one where it has none of its own.
        rngs = None if seed is None else {"params": jax.random.key(seed)}
        apply = functools.partial(unbound.apply, weights, mutable=mutable, rngs=rngs)
        if seed is None and not layers:
            return _without_state(call_with(apply, inputs, unbound), mutable)
        told = _untold if seed is None else _told
        held: list[Any] = []  # else another module could get the id of one that is gone
        names: dict[int, str] = {}
        teller = Teller(told, layers, names)

        def intercept(following: Any, args: Any, named: Any, context: Any) -> Any:
            if context.method_name != "__call__":
                return following(*args, **named)
            held.append(context.module)
            names[id(context.module)] = ".".join(context.module.path)
            with _fields(context.module, told(context.module), signature_of(following)):
                return teller.call(context.module, following, args, named)

        with flax.linen.intercept_methods(intercept):
            outputs = _without_state(call_with(apply, inputs, unbound), mutable)
        check_names(layers, filter(None, names.values()))
        return teller.with_layers(outputs)

    def explained(weights: Any, inputs: Any, seed: Any = None) -> Any:
        try:
            return function(weights, inputs, seed)
        except flax.errors.ModifyScopeVariableError as error:
            error.add_note(
                "the module keeps a state: bind it with module.bind(variables, mutable=[...]) and the names of its "
                "collections, then each batch begins with the state of these variables"
            )
            raise

    return explained, variables


def _without_state(called: Any, mutable: Any) -> Any:
    """Drop what a batch leaves in a collection: the next one begins with that of the bound module again."""
    return called if mutable is False else called[0]


@contextmanager
def _fields(module: Any, told: Mapping[str, bool], takes: Any) -> Iterator[None]:
    """Say by a module's fields what its call does not take; linen refuses to be told in both ways."""
    before = {name: getattr(module, name) for name in told if isinstance(getattr(module, name, None), bool)}
    try:
        for name in before:
            object.__setattr__(module, name, None if takes and name in takes.parameters else told[name])
        yield
    finally:
        for name, value in before.items():
            object.__setattr__(module, name, value)
