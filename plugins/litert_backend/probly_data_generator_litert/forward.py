"""From a batch to the outputs of an interpreter: which of them, in how many parts, and as real numbers."""

from typing import TYPE_CHECKING, Any

import numpy as np

from probly.data_generator.toolkit.feeds import Feeds, Input, feeds_of, run_in_parts
from probly_data_generator_litert.models import runner
from probly_data_generator_litert.tensors import Array, Tensor

if TYPE_CHECKING:
    from probly_data_generator_litert.models import LitertModel


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
        return [_real(found[tensor.name], tensor, divided=tensor.name in model.divided) for tensor in tensors]

    arrays = feeds_of(inputs, model.wanted, convert)
    found = run(arrays) if model.rows is None else run_in_parts(run, arrays, model.rows)
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


def _real(output: Array, tensor: Tensor, *, divided: bool) -> Array:
    """Return an output as real numbers.

    A softmax that rounds to 1/256 leaves rows that miss 1 by more than any rounding of floats would: they are divided
    by their sum. A row that was rounded to nothing is left to the check of the rows, which names it.
    """
    real = tensor.real(output)
    if not divided:
        return real
    sums = real.sum(axis=-1, keepdims=True, dtype=np.float64)
    return (real / np.where(sums > 0, sums, 1)).astype(np.float32)
