"""Keras models whose layers are switched one by one: what is random is active, what is to be kept is noted down.

Keras has one switch for all layers, and in training batch normalisation learns and auxiliary heads answer. So while a
model is traced, each layer's ``call`` is another one, which knows what this layer is told.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from probly.data_generator.toolkit.calling import signature_of
from probly.data_generator.toolkit.outputs import Kept, describe
from probly_data_generator_tensorflow.forward import RefusedError, Step
from probly_data_generator_tensorflow.state import nodes_of, stateful_layer

if TYPE_CHECKING:
    from probly_data_generator_tensorflow.models import TensorFlowModel

TRAINING = "training"
SEED = "seed_generator_state"
"""What Keras calls the variable of a ``keras.random.SeedGenerator``."""
UNSEEDED = (
    *("Multinomial", "NonDeterministicInts", "ParameterizedTruncatedNormal", "TruncatedNormal"),
    *("RandomGamma", "RandomPoisson", "RandomShuffle", "RandomStandardNormal", "RandomUniform", "RngReadAndSkip"),
    *("RngSkip", "SampleDistortedBoundingBox", "StatefulStandardNormal", "StatefulTruncatedNormal", "StatefulUniform"),
)
"""How the operations begin that draw from TensorFlow's own generators, which follow no seed of a layer."""
MEMBERS = "let the model return its members, shape (rows, members, classes), and set members=True"
MOST_NAMES = 20


def keep_layers(model: "TensorFlowModel", layers: Sequence[str]) -> "TensorFlowModel":
    """Return a model whose outputs come with those of some of its layers.

    Raises:
        ValueError: There is no such layer, or it is no Keras model.
    """
    _check(model, "keep", "leave the layers out of keep")
    there = dict(_paths(model.module))
    for name in layers:
        if name not in there:
            shown = ", ".join(map(repr, list(there)[:MOST_NAMES]))
            more = f" and {len(there) - MOST_NAMES} more" if len(there) > MOST_NAMES else ""
            message = f"keep: the model has no layer {name!r}; it has {shown}{more}"
            raise ValueError(message)
    kept = copy.copy(model)
    vars(kept).pop("drawing", None)  # which would not keep them
    kept.layers = {name: there[name] for name in layers}
    kept.step = Switched(model.step, kept.layers)
    return kept


def drawing_step(model: "TensorFlowModel") -> "Drawing":
    """Return what runs per batch and pass of a model.

    Raises:
        ValueError: It has nothing stochastic that can be activated.
    """
    _check(model, "passes", MEMBERS)
    stateful = stateful_layer(model.module)
    if stateful is not None:
        message = (
            f"passes: the layer {stateful!r} is stateful, so a pass would begin where the last one ended; make it "
        )
        raise ValueError(message + "with stateful=False")
    return Drawing(model.step, model.layers)


def _check(model: "TensorFlowModel", argument: str, otherwise: str) -> None:
    """Refuse what has no layers of Keras 3, or not yet, or has them on several devices at once."""
    kinds = type(model.module).__mro__
    if model.step.strategy is not None:
        message = f"{argument}: not with a strategy; build or load the model outside of the strategy's scope"
        raise ValueError(message)
    if not any(kind.__name__ == "Layer" and kind.__module__.startswith("keras.") for kind in kinds):
        what = "a SavedModel" if model.folder is not None else f"a {kinds[0].__module__}.{kinds[0].__qualname__}"
        message = (
            f"{argument}: only the layers of a model of Keras 3 can be told one by one, got {what}, whose layers "
            f"nobody sees; pass the Keras model itself or its .keras file, or {otherwise}"
        )
        raise ValueError(message)
    if not model.module.built:
        message = f"{argument}: the model has no weights yet; call it once with a batch of inputs"
        raise ValueError(message)


def _paths(layer: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the layers inside a layer by their names, those of nested models behind the name of the model."""
    for inner in layer._flatten_layers(recursive=False, include_self=False):  # noqa: SLF001  # no public name
        if type(inner).__name__ != "InputLayer":
            yield f"{above}{inner.name}", inner
            yield from _paths(inner, f"{above}{inner.name}/")


class Switched(Step):
    """Runs a Keras model and notes down what some of its layers return.

    Args:
        plain: What runs the model as it is.
        layers: By name.
    """

    def __init__(self, plain: Step, layers: Mapping[str, Any]) -> None:
        super().__init__(plain.function, plain.module, plain.device, xla=plain.xla)
        self.kept, self.layers = plain.kept, layers

    def _run(self, inputs: Any) -> Any:
        found: dict[int, list[Any]] = {id(layer): [] for layer in self.layers.values()}
        with _other_calls(self.module, functools.partial(self._call_of, found=found)):
            outputs = super()._run(inputs)
        return outputs, {name: _only(found[id(layer)], name) for name, layer in self.layers.items()}

    def _call(self, inputs: Any) -> Any:
        outputs, layers = super()._call(inputs)
        return Kept(outputs, layers) if layers else outputs

    def _call_of(self, layer: Any, found: dict[int, list[Any]]) -> Callable[..., Any]:
        """Return what a layer's ``call`` is while the model is traced."""
        call: Callable[..., Any] = layer.call
        if id(layer) not in found:
            return call

        def noted(*args: Any, **named: Any) -> Any:
            found[id(layer)].append(call(*args, **named))
            return found[id(layer)][-1]

        return noted


class Drawing(Switched):
    """Runs a Keras model with what is random in it active, and everything else as in inference."""

    seeded = True

    def __init__(self, plain: Step, layers: Mapping[str, Any]) -> None:
        super().__init__(plain, layers)
        self._seeds: dict[int, Any] = {}
        self._seed = 0

    def draw(self, inputs: Any, batch_size: int | None, seed: int) -> Any:
        """Return the outputs for a batch, which follow from the seed; those that the model has stay as they are."""
        self._seed = seed
        return self(inputs, batch_size)

    def _call_of(self, layer: Any, found: dict[int, list[Any]]) -> Callable[..., Any]:
        call = super()._call_of(layer, found)
        takes = signature_of(layer.call)
        if takes is None or TRAINING not in takes.parameters:
            return call
        # A recurrent layer draws the masks of its cell.
        seeded = any(getattr(one, "_seed_generators", ()) for one in (layer, getattr(layer, "cell", None)))
        active = seeded or _draws(type(layer))

        def told(*args: Any, **named: Any) -> Any:
            given = takes.bind(*args, **named)
            given.arguments[TRAINING] = active
            return call(*given.args, **given.kwargs)

        return told

    def _look_at(self, graph: Any) -> None:
        super()._look_at(graph)
        unseeded = sorted({node.op for node in nodes_of(graph) if node.op.startswith(UNSEEDED)})
        if unseeded:
            message = (
                f"passes: the model draws random numbers that follow no seed ({', '.join(unseeded)}); draw them with "
                f"keras.random and a keras.random.SeedGenerator that the layer has as an attribute, or {MEMBERS}"
            )
            raise RefusedError(message)
        # In the order in which they are used: that of graph.variables is another one in each process.
        variables = {id(variable.handle): variable for variable in graph.variables if SEED in variable.name}
        for captured, _ in graph.captures:
            variable = variables.get(id(captured))
            if variable is not None:
                self._seeds.setdefault(id(variable), variable)

    def _compute(self, inputs: Any) -> Any:
        seeds = list(self._seeds.values())
        before = [seed.read_value() for seed in seeds]
        try:
            for number, seed in enumerate(seeds):
                word = np.random.SeedSequence([self._seed, number]).generate_state(1)[0] & 0x7FFFFFFF
                seed.assign(tf.constant([word, 0], seed.dtype))
            return super()._compute(inputs)
        finally:
            for seed, value in zip(seeds, before, strict=True):
                seed.assign(value)


def _draws(kind: type) -> bool:
    """Return whether the code of a layer that is none of Keras's reads something random, by whatever generator."""
    own = (one for one in kind.__mro__ if one.__module__.partition(".")[0] not in ("keras", "tensorflow", "builtins"))
    functions = (value for one in own for value in vars(one).values() if isinstance(value, FunctionType))
    read = (set(function.__code__.co_names) for function in functions)
    return any("random" in names or {"nn", "dropout"} <= names for names in read)


@contextmanager
def _other_calls(model: Any, call_of: Callable[[Any], Callable[..., Any]]) -> Iterator[None]:
    """Give the layers of a model another ``call`` for as long as the block runs.

    What the user has made a ``tf.function`` is a part of our graph meanwhile: a trace of its own would be that of
    another call, or would remain when ours is gone.
    """
    layers = {id(layer): layer for layer in model._flatten_layers()}.values()  # noqa: SLF001  # no public name
    others = [(layer, vars(layer).get("call"), call_of(layer)) for layer in layers]
    inlined = tf.config.functions_run_eagerly()
    try:
        for layer, _, other in others:
            vars(layer)["call"] = other  # past Keras's own __setattr__
        tf.config.run_functions_eagerly(run_eagerly=True)
        yield
    finally:
        tf.config.run_functions_eagerly(inlined)
        for layer, own, _ in others:
            if own is None:
                del vars(layer)["call"]
            else:
                vars(layer)["call"] = own


def _only(found: Sequence[Any], name: str) -> Any:
    """Return the one answer that a layer gave.

    Raises:
        RefusedError: It was called more or less often, in a loop, or answered with several arrays.
    """
    if not all(map(_is_here, found)):
        message = (
            f"keep: the layer {name!r} runs in a loop or a branch, which nothing in it leaves; keep that around it"
        )
        raise RefusedError(message)
    if len(found) != 1:
        message = f"keep: the layer {name!r} is called {len(found)} times per batch; keep one that is called once"
        raise RefusedError(message)
    if not tf.is_tensor(found[0]):
        message = f"keep: the layer {name!r} returns {describe(found[0])}, not one array; keep another one"
        raise RefusedError(message)
    return found[0]


def _is_here(answer: Any) -> bool:
    """Return whether an answer can be had where we are, and not only in the body of a loop."""
    graph = tf.compat.v1.get_default_graph() if tf.inside_function() else None
    return all(getattr(part, "graph", None) is graph for part in tf.nest.flatten(answer) if tf.is_symbolic_tensor(part))
