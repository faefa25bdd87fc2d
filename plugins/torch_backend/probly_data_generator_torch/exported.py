"""Exported programs: their batch sizes are fixed or bounded, and so is their mode."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree  # what an exported program returns is a nest in its terms

from probly.data_generator.toolkit.nests import common_rows, map_leaves, take_rows
from probly.data_generator.toolkit.outputs import cut_rows, pick_scores


class Sizes(NamedTuple):
    """The least and the greatest number of rows that a program takes; None: there is no greatest."""

    least: int
    most: int | None


def runnable(program: torch.export.ExportedProgram, device: torch.device) -> tuple[torch.nn.Module, Sizes]:
    """Return a program's module on a device, and the numbers of rows that it takes.

    Raises:
        ValueError: It was exported in training mode.
    """
    _check_mode(program)
    if device.type != "cpu" or any(tensor.device.type != "cpu" for tensor in program.state_dict.values()):
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    return program.module(), _sizes(program)


def _check_mode(program: torch.export.ExportedProgram) -> None:
    for graph in program.graph_module.modules():
        for node in graph.graph.nodes if isinstance(graph, torch.fx.GraphModule) else ():
            if _trains(node):
                message = (
                    f"the program was exported in training mode: its node {node.name!r} is {node.target} with dropout "
                    "or batch statistics on, which cannot be switched off; call model.eval() before torch.export.export"
                )
                raise ValueError(message)


def _trains(node: torch.fx.Node) -> bool:
    if not isinstance(node.target, torch._ops.OpOverload):  # noqa: SLF001  # torch gives it no public name
        return False
    schema = node.target._schema  # noqa: SLF001
    names = [argument.name for argument in schema.arguments]
    settings = {argument.name: argument.default_value for argument in schema.arguments}
    settings |= dict(zip(names, node.args, strict=False)) | node.kwargs
    if "_norm" in schema.name:  # without running statistics, those of the batch are used in evaluation mode too
        batch = settings.get("training") or settings.get("use_input_stats") or "_with_update" in schema.name
        return bool(batch) and settings.get("running_mean") is not None
    # Dropout with p=0 changes nothing, and LSTM layers have a mode even without dropout.
    amount = settings.get("p", settings.get("dropout", 1))
    training = settings.get("train", settings.get("training", False)) is True
    return (training and amount != 0) or bool(settings.get("dropout_p"))


def _sizes(program: torch.export.ExportedProgram) -> Sizes:
    """Return the bounds that all inputs of a program share."""
    names = set(program.graph_signature.user_inputs)
    examples = [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    firsts = [example.shape[0] for example in examples if isinstance(example, torch.Tensor) and example.ndim]
    bounds = [_bounds(first, program) for first in firsts]
    least = max((bound.least for bound in bounds), default=0)
    return Sizes(least, min((bound.most for bound in bounds if bound.most is not None), default=None))


def _bounds(first: Any, program: torch.export.ExportedProgram) -> Sizes:
    if isinstance(first, int):
        return Sizes(first, first)
    found: Any = program.range_constraints.get(first.node.expr)
    if found is None:
        return Sizes(0, None)
    return Sizes(int(found.lower), int(found.upper) if found.upper < 2**62 else None)


def call_in_sizes(function: Any, inputs: Any, sizes: Sizes, *, raw: bool) -> Any:
    """Call a program over a batch: one that is too large in parts, one that is too small with repeated last rows.

    Args:
        function: Takes the inputs of a batch.
        inputs: A nest of tensors with the same number of rows; other inputs are passed on as they are.
        sizes: The numbers of rows that it takes.
        raw: Return the whole nest of outputs, not the array of logits or probabilities in it.

    Raises:
        InvalidOutputError: An output of a padded or divided batch has not one row per input.
    """
    rows = common_rows(inputs)
    if rows is None or sizes.least <= rows <= (rows if sizes.most is None else sizes.most):
        return function(inputs)
    step = rows if sizes.most is None else sizes.most
    parts = (take_rows(inputs, slice(start, min(start + step, rows)), rows) for start in range(0, rows, step))
    return _joined([_padded_call(function, part, sizes.least, raw=raw) for part in parts])


def _padded_call(function: Any, inputs: Any, least: int, *, raw: bool) -> Any:
    rows = common_rows(inputs) or 0
    missing = max(least - rows, 0)
    if missing:
        inputs = map_leaves(lambda leaf: torch.cat([leaf, leaf[-1:].expand(missing, *leaf.shape[1:])]), inputs)
    outputs = function(inputs)
    return pytree.tree_map_only(
        torch.Tensor, lambda leaf: cut_rows(leaf, rows + missing, rows), outputs if raw else pick_scores(outputs)
    )


def _joined(parts: list[Any]) -> Any:
    nest = pytree.tree_structure(parts[0])
    return pytree.tree_unflatten(list(_columns([pytree.tree_leaves(part) for part in parts])), nest)


def _columns(parts: list[list[Any]]) -> Iterator[Any]:
    for leaves in zip(*parts, strict=True):
        yield torch.cat(leaves) if isinstance(leaves[0], torch.Tensor) else leaves[0]
