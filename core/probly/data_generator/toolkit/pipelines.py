"""Pipelines that are graphs of steps, each of which tells its inputs: their end, their length, and what shuffles.

They are known by what they offer (``element_spec``, ``cardinality``, ``_inputs``), so that every backend can read them
and nothing is imported.
"""

from collections.abc import Iterator
from typing import Any, Final

_ENDLESS: Final = -1
"""The cardinality of a pipeline that repeats for ever; other negative ones say that it is not known."""
_ONE_TO_ONE: Final = frozenset(
    {"Map", "ParallelMap", "Prefetch", "Cache", "Options", "Scan", "Snapshot", "Restructured", "DenseToRagged"}
    | {"Shuffle", "Repeat"}
)
"""The steps that hand on as many elements as they get, and the one that repeats them, which is to be reported."""
_BATCHING: Final = frozenset({"Batch", "ParallelBatch", "PaddedBatch", "DenseToSparseBatch"})


def is_graph(pipeline: Any) -> bool:
    """Return whether an object is such a pipeline.

    Examples:
        >>> is_graph([1, 2])
        False
    """
    return hasattr(pipeline, "element_spec") and all(
        callable(getattr(pipeline, name, None)) for name in ("_inputs", "cardinality", "options")
    )


def check_finite(pipeline: Any) -> None:
    """Refuse a pipeline without an end; any other dataset is let through.

    Raises:
        ValueError: It repeats for ever.
    """
    if is_graph(pipeline) and int(pipeline.cardinality()) == _ENDLESS:
        message = f"the {_kind(pipeline)}Dataset never ends; leave out repeat(), or cut it with take(n)"
        raise ValueError(message)


def fault_of_graph(step: Any) -> str | None:
    """Return why the elements of a step come in no defined order, whatever its inputs do, or None."""
    if not is_graph(step):
        return None
    kind = _kind(step)
    if getattr(step, "_deterministic", None) == "false":
        return f"{kind} with deterministic=False"
    if step.options().deterministic is False:
        return "its options set deterministic=False"
    if kind == "DirectedInterleave" and any(_kind(node) == "Random" for node in _nodes(_inputs(step)[0])):
        return "sample_from_datasets"
    for function in step._functions():  # noqa: SLF001  # those that make datasets, such as that of interleave
        graph = function.function.graph.as_graph_def()
        inner = (node for nested in graph.library.function for node in nested.node_def)
        if any("Shuffle" in node.op and "Dataset" in node.op for node in (*graph.node, *inner)):
            return f"{kind} of datasets that shuffle"
    return None


def source_rows(pipeline: Any, *, batched: bool) -> int | None:
    """Return how many rows a pipeline reads from its source, whether it repeats them or drops a remainder, or None.

    The rows that a run makes are compared with it, as those of a loader are with the length of its dataset.

    Args:
        pipeline: The last step.
        batched: Whether its elements are batches.
    """
    return _rows(pipeline) if batched else _elements(pipeline)


def _elements(step: Any) -> int | None:
    kind = _kind(step)
    if kind in _ONE_TO_ONE:
        return _elements(_inputs(step)[0])
    if kind == "Unbatch":
        return _rows(_inputs(step)[0])
    found = int(step.cardinality())
    return found if found >= 0 else None


def _rows(step: Any) -> int | None:
    kind = _kind(step)
    if kind in _ONE_TO_ONE or kind == "Rebatch":
        return _rows(_inputs(step)[0])
    if kind in _BATCHING:
        return _elements(_inputs(step)[0])
    batches, size = int(step.cardinality()), _size(step.element_spec)
    return None if size is None or batches < 0 else batches * size


def _size(spec: Any) -> int | None:
    """Return the number of rows that the specification of a batch tells, if all its parts tell the same."""
    sizes = {_first_axis(leaf) for leaf in _leaves(spec)}
    return sizes.pop() if len(sizes) == 1 else None


def _first_axis(leaf: Any) -> int | None:
    shape = getattr(leaf, "shape", None)
    if shape is None or not shape.rank or shape[0] is None:
        return None
    return int(shape[0])


def _leaves(spec: Any) -> Iterator[Any]:
    if isinstance(spec, dict | list | tuple):
        for part in spec.values() if isinstance(spec, dict) else spec:
            yield from _leaves(part)
    else:
        yield spec


def _kind(step: Any) -> str:
    return type(step).__name__.strip("_").removesuffix("Dataset")


def _inputs(step: Any) -> list[Any]:
    return list(step._inputs())  # noqa: SLF001  # its only way to tell


def _nodes(step: Any) -> Iterator[Any]:
    waiting = [step]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(_inputs(node))
