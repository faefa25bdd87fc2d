"""From a batch to the outputs of an interpreter: which of them, in how many parts, and as real numbers."""

from typing import TYPE_CHECKING, Any

import numpy as np

from probly.data_generator.toolkit.feeds import Feeds, Input, feeds_of, run_in_parts
from probly_data_generator_litert.models import runner
from probly_data_generator_litert.tensors import Array, Tensor

if TYPE_CHECKING:
    from probly_data_generator_litert.models import LitertModel


MOST_LOST = 0.05
"""How far from 1 the sum of a distribution that was rounded to integers may be."""


def outputs_of(model: "LitertModel", inputs: Any, batch_size: int | None) -> Any:
    """Return the scores of a batch, or for an ``output_transform`` the outputs: one alone, several as a dict by name.

    Args:
        model: The model.
        inputs: The inputs of a batch.
        batch_size: See the hook. None asks for all outputs.

    Raises:
        ValueError: The model has several outputs, and which one holds the scores is not known.
    """
    tensors = _wanted(model, batch_size)
    by_name = {tensor.name: tensor for tensor in model.inputs}

    def convert(array: Array, wanted: Input) -> Array:
        return by_name[wanted.name].convert(array)

    def run(feeds: Feeds) -> list[Any]:
        # State, where a model has some, does not pass from one call to the next.
        model.interpreter.reset_all_variables()
        arrays = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        try:
            found = runner(model.interpreter, model.signature)(**arrays)
        except RuntimeError as error:
            if model.rows is None:  # it says that it takes any number of rows, which its operators may not
                error.add_note("if the model takes single rows only, set batch_size=1")
            raise
        return [tensor.real(found[tensor.name]) for tensor in tensors]

    arrays = feeds_of(inputs, model.wanted, convert)
    found = run(arrays) if model.rows is None else run_in_parts(run, arrays, model.rows)
    for place, tensor in enumerate(tensors):
        if tensor.name in model.divided:
            if batch_size is not None:
                _check_sums(found[place], tensor.name, is_only=len(model.outputs) == 1 or "output" in model.options)
            found[place] = _divided(found[place])
    return (
        found[0] if len(tensors) == 1 else {tensor.name: output for tensor, output in zip(tensors, found, strict=True)}
    )


def _wanted(model: "LitertModel", batch_size: int | None) -> list[Tensor]:
    """Return the output that holds the scores, or all."""
    chosen = model.options.get("output") if batch_size is None else model.output
    if chosen is not None:
        return [tensor for tensor in model.outputs if tensor.name == chosen]
    if batch_size is None:
        return list(model.outputs)
    shown = ", ".join(f"{tensor.name!r} ({tensor.input.type} {tensor.input.axes})" for tensor in model.outputs)
    message = (
        f"the model has several outputs, {shown}, and none is called 'logits'; choose one with "
        f"options={{'output': {model.outputs[0].name!r}}}, or set output_transform, which gets a dict by name"
    )
    raise ValueError(message)


def _check_sums(rows: Array, name: str, *, is_only: bool) -> None:
    """Refuse rows of a rounded softmax whose sum says that rounding has taken, or added, more than a little of them.

    Args:
        rows: The output, before it is divided.
        name: Its name.
        is_only: Whether an ``output_transform`` gets it alone.
    """
    sums = rows.sum(axis=-1, dtype=np.float64)
    far = np.argwhere(np.abs(sums - 1) > MOST_LOST)
    if not len(far):
        return
    first = tuple(far[0])
    more = f", and {len(far) - 1} more" if len(far) > 1 else ""
    message = (
        f"row {first[0]} of the batch{more}: output {name!r} holds probabilities that the model "
        f"rounds to integers; they sum to {sums[first]:.3g}, expected 1 within {MOST_LOST:g}, and "
        f"{np.count_nonzero(rows[first] == 0)} of {rows.shape[-1]} are 0; convert the model with its logits as output, "
        "without the softmax"
    )
    if sums.all():
        alone = "outputs" if is_only else f"outputs[{name!r}]"
        message += (
            f"; or take such rows divided by their sums, which makes 1 of {sums[first]:.3g}, and still refuses rows of "
            f"zeros, output_transform=lambda outputs: {alone}"
        )
    raise ValueError(message)


def _divided(rows: Array) -> Array:
    """Return the rows of a rounded softmax divided by their sum, which misses 1 by more than that of floats would.

    A row that was rounded to nothing is left to the check of the rows, which names it.
    """
    sums = rows.sum(axis=-1, keepdims=True, dtype=np.float64)
    return (rows / np.where(sums > 0, sums, 1)).astype(np.float32)
