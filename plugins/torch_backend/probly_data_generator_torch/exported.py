"""Exported programs: their batch sizes are fixed or bounded, and so is their mode."""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree  # what an exported program returns is a nest in its terms

from probly.data_generator.toolkit.nests import common_rows, map_leaves, take_rows
from probly.data_generator.toolkit.outputs import call_padded, cut_rows, pick_scores


class Sizes(NamedTuple):
    """The least and the greatest number of rows that a program takes; None: there is no greatest."""

    least: int
    most: int | None


def runnable(program: torch.export.ExportedProgram, device: torch.device) -> tuple[torch.nn.Module, Sizes]:
    """Return a program's module on a device, and the numbers of rows that it takes; the program itself is moved there.

    Raises:
        ValueError: It was exported in training mode.
    """
    _check_mode(program)
    if set(places(program)) - {device}:
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    return program.module(), _sizes(program)


def places(program: torch.export.ExportedProgram) -> list[torch.device]:
    """Return the devices that a program computes on: those of its weights first, then of inputs and what is between."""
    values = pytree.tree_leaves([node.meta.get("val") for node in program.graph.nodes])
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    return [tensor.device for tensor in (*program.state_dict.values(), *tensors)]


def copied(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Return a copy by way of its file format: ``copy.deepcopy`` makes one whose inputs have other names."""
    content = io.BytesIO()
    torch.export.save(program, content)
    content.seek(0)
    return torch.export.load(content)


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


def call_in_sizes(function: Callable[[Any], Any], inputs: Any, sizes: Sizes, *, whole: bool) -> Any:
    """Call a program over a batch: one that is too large in parts, one that is too small with repeated last rows.

    Args:
        function: Takes the inputs of a batch.
        inputs: A nest of tensors with the same number of rows; other inputs are passed on as they are.
        sizes: The numbers of rows that it takes.
        whole: Return the whole nest of outputs, of which every tensor must then have a row per input, and not the
            scores in it.

    Raises:
        InvalidOutputError: An output of a padded or divided batch has not one row per input.
    """
    rows = common_rows(inputs)
    if rows is None or sizes.least <= rows <= (rows if sizes.most is None else sizes.most):
        return function(inputs)
    step = rows if sizes.most is None else sizes.most
    parts = (take_rows(inputs, slice(start, min(start + step, rows)), rows) for start in range(0, rows, step))
    if whole:
        return _joined([_whole(function, part, sizes.least) for part in parts])
    return torch.cat([pick_scores(call_padded(function, part, sizes.least, repeat_last)) for part in parts])


def repeat_last(tensor: torch.Tensor, times: int) -> torch.Tensor:
    """Return a tensor with its last row repeated at its end.

    Examples:
        >>> repeat_last(torch.tensor([1, 2]), 2)
        tensor([1, 2, 2, 2])
    """
    return torch.cat([tensor, tensor[-1:].expand(times, *tensor.shape[1:])])


def _whole(function: Callable[[Any], Any], inputs: Any, least: int) -> Any:
    """Do what ``call_padded`` does for all outputs; a full batch is checked as a padded one is, for it is joined."""
    rows = common_rows(inputs) or 0
    missing = max(least - rows, 0)
    if missing:
        inputs = map_leaves(lambda leaf: repeat_last(leaf, missing), inputs)
    return pytree.tree_map_only(torch.Tensor, lambda leaf: cut_rows(leaf, rows + missing, rows), function(inputs))


def _joined(parts: list[Any]) -> Any:
    """Return the nest whose tensors are those of several nests, one after the other."""
    leaves = zip(*(pytree.tree_leaves(part) for part in parts), strict=True)
    columns = [torch.cat(column) if isinstance(column[0], torch.Tensor) else column[0] for column in leaves]
    return pytree.tree_unflatten(columns, pytree.tree_structure(parts[0]))
