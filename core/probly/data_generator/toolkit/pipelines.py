"""Pipelines that are graphs of steps, each of which tells its inputs: their end, their length, and what shuffles.

They are known by what they offer (``element_spec``, ``cardinality``, ``_inputs``), so that every backend can read them
and nothing is imported.
"""

from collections.abc import Iterator
from typing import Any, Final

from probly.data_generator.toolkit.nests import leaves, shape_of

_ONE_TO_ONE: Final = frozenset(
    {"Map", "ParallelMap", "Prefetch", "Cache", "Options", "Scan", "Snapshot", "Restructured", "DenseToRagged"}
    | {"Shuffle", "Repeat"}
)
"""The steps that hand on as many elements as they get, and the one that repeats them, which is to be reported."""
_BATCHING: Final = frozenset({"Batch", "ParallelBatch", "PaddedBatch", "DenseToSparseBatch"})


def is_graph(pipeline: Any) -> bool:
    """Return whether an object is such a pipeline."""
    return hasattr(pipeline, "element_spec") and all(
        callable(getattr(pipeline, name, None)) for name in ("_inputs", "cardinality", "options")
    )


def fault_of_graph(step: Any) -> str | None:
    """Return why the elements of a step come in no defined order, whatever its inputs do, or None."""
    if not is_graph(step):
        return None
    kind = _kind(step)
    if kind == "GroupByWindow" or getattr(step, "_deterministic", None) == "false":  # groups: those of buckets, too
        return kind if kind == "GroupByWindow" else f"{kind} with deterministic=False"
    if step.options().deterministic is False:
        return "its options set deterministic=False"
    if kind == "DirectedInterleave" and any(_kind(node) == "Random" for node in _nodes(inputs_of(step)[0])):
        return "sample_from_datasets"
    return _fault_of_functions(step, kind)


def _fault_of_functions(step: Any, kind: str) -> str | None:
    """Return what in the functions of a step shuffles, such as a dataset that interleave makes, or None."""
    for function in step._functions():  # noqa: SLF001  # its only way to tell
        graph = function.function.graph.as_graph_def()
        inner = (node for nested in graph.library.function for node in nested.node_def)
        ops = [node.op for node in (*graph.node, *inner)]
        if any("Shuffle" in op and "Dataset" in op for op in ops):
            return f"{kind} of datasets that shuffle"
        if "RandomIndexShuffle" in ops:  # it makes one index of another, as `datasets` does where it shuffles
            return f"{kind} with index_shuffle"
    return None


def source_rows(pipeline: Any, *, batched: bool) -> int | None:
    """Return how many rows a pipeline reads from its source, whether it repeats them or drops a remainder, or None.

    The rows that a run makes are compared with it, as those of a loader are with the length of its dataset.

    Args:
        pipeline: The last step.
        batched: Whether its elements are batches.
    """
    step = pipeline
    while True:
        kind = _kind(step)
        if kind in (_BATCHING if batched else {"Unbatch"}):
            batched = not batched
        elif kind not in _ONE_TO_ONE and not (batched and kind == "Rebatch"):
            break
        step = inputs_of(step)[0]
    count = int(step.cardinality())
    sizes = {(shape_of(leaf) or (None,))[0] for leaf in leaves(step.element_spec)} if batched else {1}
    size = sizes.pop() if len(sizes) == 1 else None
    return None if size is None or count < 0 else count * int(size)


def inputs_of(step: Any) -> list[Any]:
    """Return the steps that a step reads from."""
    return list(step._inputs())  # noqa: SLF001  # its only way to tell


def _kind(step: Any) -> str:
    return type(step).__name__.strip("_").removesuffix("Dataset")


def _nodes(step: Any) -> Iterator[Any]:
    yield step
    for source in inputs_of(step):
        yield from _nodes(source)
