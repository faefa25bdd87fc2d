"""What a model keeps from batch to batch, such as a hidden state: each run begins with the same, and gives it back."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from probly.data_generator.toolkit.samples import Batch, Batches


class State:
    """The variables of a model as they were when a run began, for those that it writes to.

    A value that is read shares the variable's memory until that is written to, so this costs next to nothing.

    Attributes:
        written: Whether the model may write to variables: its graph says so, or there is none.
    """

    def __init__(self) -> None:
        self.written = False
        self._active = False
        self._values: dict[int, tuple[Any, Any]] = {}

    def begin(self, variables: Iterable[Any]) -> None:
        """Begin a run.

        Args:
            variables: Those that are known; others follow by ``remember``.
        """
        self._active, self.written, self._values = True, False, {}
        self.remember(variables)

    def remember(self, variables: Iterable[Any]) -> None:
        """Remember the values of variables that are not remembered yet."""
        if not self._active:
            return
        for variable in variables:
            held = _variable_of(variable)
            if held is not None:
                self._values.setdefault(id(held), (held, held.read_value()))

    def trace(self, graph: Any) -> None:
        """Remember the variables of a graph before it runs, and whether it writes to any.

        Args:
            graph: That of a concrete function.
        """
        self.remember(graph.variables)
        self.written |= any("Assign" in node.op or "ResourceScatter" in node.op for node in nodes_of(graph))

    def end(self) -> None:
        """Give every variable the value back that it had.

        Whole numbers only go with a state: one that counts calls may well be read after the run.
        """
        values, self._active, self._values = self._values, False, {}
        if not self.written:
            return
        try:
            changed = [
                pair for pair in values.values() if not bool(tf.reduce_all(tf.equal(pair[0].read_value(), pair[1])))
            ]
            if not any(value.dtype.is_floating or value.dtype.is_complex for _, value in changed):
                return
            for variable, value in changed:
                variable.assign(value)
        except Exception as error:  # noqa: BLE001  # a run may end because the device does; its own error tells more
            message = f"the state of the model could not be given back ({type(error).__name__}: {error})"
            warnings.warn(message, stacklevel=2)


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of the functions that it calls."""
    definition = graph.as_graph_def()
    yield from definition.node
    for nested in definition.library.function:
        yield from nested.node_def


def _variable_of(variable: Any) -> Any:
    """Return TensorFlow's variable, also of Keras's, or None where there is no value to read yet."""
    held = variable if isinstance(variable, tf.Variable) else getattr(variable, "value", None)
    return held if isinstance(held, tf.Variable) else None


def states_of(module: Any) -> list[Any]:
    """Return the states of the stateful layers of a Keras model, which are not among its variables."""
    layers = module._flatten_layers() if hasattr(module, "_flatten_layers") else ()  # noqa: SLF001  # no public name
    return [state for layer in layers if _is_stateful(layer) for state in tf.nest.flatten(layer.states)]


def stateful_layer(module: Any) -> str | None:
    """Return the name of a layer of a Keras model that begins a batch where the last one ended, or None."""
    layers = module._flatten_layers() if hasattr(module, "_flatten_layers") else ()  # noqa: SLF001
    return next((layer.name for layer in layers if _is_stateful(layer)), None)


def _is_stateful(layer: Any) -> bool:
    return getattr(layer, "stateful", False) is True and hasattr(layer, "states")


def held(kept: State, variables: Iterable[Any], batches: Batches) -> Batches:
    """Return the batches of a run, while which a model may keep what it likes.

    Args:
        kept: That of the model.
        variables: Those that are known.
        batches: What the model will be called with; closing them ends the run.
    """
    return Batches(_held(kept, variables, batches), batches.length)


def _held(kept: State, variables: Iterable[Any], batches: Batches) -> Iterator[Batch]:
    kept.begin(variables)
    try:
        yield from batches
    finally:
        try:
            batches.close()
        finally:
            kept.end()


def check_start(module: Any, start: int) -> None:
    """Refuse to continue a run of a model whose rows depend on the batches before them.

    Raises:
        ValueError: There is a stateful layer, and batches before ``start`` would be left out.
    """
    layer = stateful_layer(module) if start else None
    if layer is not None:
        message = (
            f"the layer {layer!r} is stateful: a row depends on the batches before it, so a run that ended early "
            "cannot be continued; remove what it wrote and run again, or make the layer with stateful=False"
        )
        raise ValueError(message)
