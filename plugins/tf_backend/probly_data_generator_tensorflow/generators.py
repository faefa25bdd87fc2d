"""Python generators inside a pipeline, as ``from_generator`` makes them: its graph knows them by a number only."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from probly.data_generator.toolkit.pipelines import inputs_of

_MOST_CELLS = 8


def generators_of(dataset: tf.data.Dataset) -> Iterator[Any]:
    """Yield what was given to ``from_generator`` anywhere in a pipeline; nothing where this TensorFlow does not tell.

    Args:
        dataset: The last step.
    """
    steps = [dataset]
    for step in steps:
        steps += inputs_of(step)
        for function in step._functions():  # noqa: SLF001  # its only way to tell
            graph = function.function.graph.as_graph_def()
            inner = (node for nested in graph.library.function for node in nested.node_def)
            for node in (*graph.node, *inner):
                if "PyFunc" in node.op:
                    yield from _given(_registered(node.attr["token"].s.decode()))


def _registered(token: str) -> Any:
    """Return the Python function that an operation calls."""
    try:
        from tensorflow.python.ops import script_ops

        return script_ops._py_funcs._funcs.get(token)  # noqa: SLF001
    except (ImportError, AttributeError):
        return None


def _given(function: Any) -> Iterator[Any]:
    """Yield the generator that a function of ``from_generator`` closes over: its state keeps it."""
    found = [function]
    for part in found:
        cells = getattr(part, "__closure__", None) or ()
        held = [getattr(part, "__self__", None), *(cell.cell_contents for cell in cells)]
        generators = [one._generator for one in held if hasattr(one, "_generator")]  # noqa: SLF001
        if generators:
            yield generators[0]
            return
        if len(found) < _MOST_CELLS:
            found += [one for one in held if callable(one)]
