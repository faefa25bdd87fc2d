"""How a model of torch is called: which inputs are positional arguments, which are keywords, which are one argument."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from probly.data_generator.toolkit import calling
from probly.data_generator.toolkit.nests import Samples, as_lists, common_rows
from probly.data_generator.toolkit.outputs import describe


def call(function: Any, inputs: Any) -> Any:
    """Call a model with the inputs of a batch as torch users would.

    A mapping is passed as keywords where the model takes these names, else as one argument. A tuple or a list with
    tensors is passed as positional arguments; samples that do not stack, texts and every other object are one argument.

    Args:
        function: A Module or another callable.
        inputs: The inputs of a batch.

    Raises:
        TypeError: The model takes another number of inputs; the message says how many, and what the batch has.
    """
    if isinstance(inputs, Mapping):
        takes = _signature(function)
        inputs = as_lists(inputs)
        named = calling.named_inputs(inputs, takes)
        if named is not None:
            return function(**named)
        if takes is not None and not calling.binds(takes, inputs):
            raise TypeError(calling.other_number(takes, inputs))
    elif isinstance(inputs, list | tuple) and not _is_one_argument(inputs):
        takes = _signature(function)
        if takes is None or calling.binds(takes, *inputs):
            return function(*as_lists(tuple(inputs)))
        if isinstance(inputs, tuple) or common_rows(inputs) is not None or not calling.binds(takes, inputs):
            raise TypeError(calling.other_number(takes, tuple(inputs)))
    return _called_with_one(function, as_lists(inputs))


def _is_one_argument(inputs: Any) -> bool:
    if isinstance(inputs, Samples) or (hasattr(inputs, "_fields") and hasattr(inputs, "to")):
        return True
    return not any(isinstance(leaf, torch.Tensor) for leaf in _leaves(inputs))


def _leaves(nest: Any) -> Iterator[Any]:
    values = nest.values() if isinstance(nest, Mapping) else nest if isinstance(nest, list | tuple) else None
    if values is None:
        yield nest
        return
    for value in values:
        yield from _leaves(value)


def _called_with_one(function: Any, inputs: Any) -> Any:
    try:
        return function(inputs)
    except Exception as error:
        takes = _signature(function)
        if isinstance(error, TypeError) and takes is not None and not calling.binds(takes, inputs):
            given = (inputs,) if isinstance(inputs, tuple) else inputs  # a packed sequence is one
            raise TypeError(calling.other_number(takes, given)) from error
        if not isinstance(inputs, torch.Tensor):
            why = "" if takes is None else f", because it takes {calling.wanted(takes)}"
            note = f"the model got a {describe(inputs)} as one argument{why}; for another, set {calling.GETTER}"
            error.add_note(note)
        raise


def _signature(function: Any) -> inspect.Signature | None:
    """Return what a model takes, or None where Python cannot tell, as of TorchScript."""
    if isinstance(function, torch.jit.ScriptModule):
        return None
    return calling.signature_of(function.forward if isinstance(function, torch.nn.Module) else function)
