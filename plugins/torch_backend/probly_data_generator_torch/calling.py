"""How a model is called: which inputs are its positional arguments, which its keywords, and what is one argument."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from probly.data_generator.toolkit.nests import Samples, as_lists
from probly.data_generator.toolkit.outputs import describe
from probly.data_generator.toolkit.parts import LABEL_KEYS

GETTER = "input_getter, which picks the inputs from a sample, or from a loader's batch"


def call(function: Any, inputs: Any) -> Any:
    """Call a model with the inputs of a batch as torch users would.

    A mapping is passed as keywords where the model takes these names, else as one argument; its label is left out of
    the keywords where the model does not name it. A tuple or a list with
    tensors is passed as positional arguments; samples that do not stack, texts and every other object are one argument.

    Args:
        function: A Module or another callable.
        inputs: The inputs of a batch.

    Raises:
        TypeError: The model takes another number of inputs; the message says how many, and what the batch has.
    """
    if isinstance(inputs, torch.Tensor):
        return function(inputs)
    if isinstance(inputs, Mapping):
        return _call_with_mapping(function, as_lists(inputs))
    if isinstance(inputs, list | tuple) and not _is_one_argument(inputs):
        takes = _signature(function)
        if takes is None or _binds(takes, *inputs):
            return function(*as_lists(tuple(inputs)))
        if isinstance(inputs, tuple) or not _binds(takes, inputs):
            raise TypeError(_other_number(takes, len(inputs), list(map(describe, inputs))))
    return _called_with_one(function, as_lists(inputs), "")


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


def _call_with_mapping(function: Any, inputs: Mapping[Any, Any]) -> Any:
    takes = _signature(function)
    if all(isinstance(name, str) for name in inputs):
        kept = _without_labels(inputs, takes)
        if takes is None or _binds(takes, **kept):
            return function(**kept)
    if takes is not None and not _binds(takes, inputs):
        raise TypeError(_other_number(takes, len(inputs), [repr(name) for name in inputs]))
    names = "" if takes is None else f", because the model takes {_names(takes)} and not {', '.join(map(repr, inputs))}"
    return _called_with_one(function, inputs, names)


def _without_labels(inputs: Mapping[str, Any], takes: inspect.Signature | None) -> Mapping[str, Any]:
    """Leave out the labels of a batch, unless the model names them: some compute a loss beside their scores."""
    asked = {} if takes is None else takes.parameters
    return {name: value for name, value in inputs.items() if name in asked or name not in LABEL_KEYS}


def _called_with_one(function: Callable[[Any], Any], inputs: Any, why: str) -> Any:
    try:
        return function(inputs)
    except Exception as error:
        error.add_note(f"the model was called with one argument, a {describe(inputs)}{why}; for another, set {GETTER}")
        raise


def _other_number(takes: inspect.Signature, count: int, given: list[str]) -> str:
    return f"the model takes {_names(takes)}, but a batch has {count} ({', '.join(given)}); set {GETTER}"


def _names(takes: inspect.Signature) -> str:
    shown = [str(one.replace(annotation=inspect.Parameter.empty)) for one in takes.parameters.values()]
    count = sum(one.default is inspect.Parameter.empty for one in takes.parameters.values())
    least = "at least " if count < len(shown) else ""
    return f"{least}{count} input{'' if count == 1 else 's'} ({', '.join(shown)})"


def _signature(function: Any) -> inspect.Signature | None:
    """Return what a model takes, or None where Python cannot tell, as of TorchScript."""
    called = function.forward if isinstance(function, torch.nn.Module) else function
    if isinstance(function, torch.jit.ScriptModule):
        return None
    try:
        return inspect.signature(called)
    except (TypeError, ValueError):
        return None


def _binds(takes: inspect.Signature, *inputs: Any, **named: Any) -> bool:
    try:
        takes.bind(*inputs, **named)
    except TypeError:
        return False
    return True
