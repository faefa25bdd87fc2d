"""Whether a tf.data pipeline hands out its elements in one defined order, and ends."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from probly.data_generator.errors import AlignmentError


def check_finite(dataset: tf.data.Dataset) -> None:
    """Refuse a dataset without an end.

    Raises:
        ValueError: It repeats for ever.
    """
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        message = "the tf.data.Dataset never ends; leave out repeat(), or cut it with take(n)"
        raise ValueError(message)


def check_order(dataset: tf.data.Dataset) -> None:
    """Refuse a pipeline whose elements come in no defined order: their position is not their index.

    Raises:
        AlignmentError: It shuffles, samples at random or runs in parallel without order; the message names the step.
    """
    culprit = _unordered_step(dataset)
    if culprit is not None:
        message = (
            f"the tf.data pipeline has no defined order ({culprit}), so its rows have no index; leave that step out, "
            "or let the samples carry their index and set index_getter"
        )
        raise AlignmentError(message)


def _unordered_step(dataset: tf.data.Dataset) -> str | None:
    if dataset.options().deterministic is False:
        return "its options set deterministic=False"
    for step in _steps(dataset):
        kind = type(step).__name__.strip("_")
        if "Shuffle" in kind or "DataService" in kind:
            return kind
        if getattr(step, "_deterministic", None) == "false":
            return f"{kind} with deterministic=False"
        if "DirectedInterleave" in kind and _draws(step):
            return "sample_from_datasets"
        if _shuffles_inside(step):
            return f"{kind} of datasets that shuffle"
    return None


def _steps(dataset: Any) -> Iterator[Any]:
    """Yield a dataset and all that it reads from; tf.data tells its graph by these private methods only."""
    waiting = [dataset]
    while waiting:
        step = waiting.pop()
        yield step
        waiting.extend(step._inputs())  # noqa: SLF001


def _draws(interleave: Any) -> bool:
    selector = interleave._inputs()[0]  # noqa: SLF001
    return any("Random" in type(step).__name__ for step in _steps(selector))


def _shuffles_inside(step: Any) -> bool:
    """Return whether a function that makes datasets, such as that of interleave, shuffles them."""
    for function in step._functions():  # noqa: SLF001
        graph = function.function.graph.as_graph_def()
        inner = (node for nested in graph.library.function for node in nested.node_def)
        if any("Shuffle" in node.op and "Dataset" in node.op for node in (*graph.node, *inner)):
            return True
    return False
