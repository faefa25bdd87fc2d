"""How a model is called with the inputs of a batch: as one argument, or spread over several."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from probly.data_generator.toolkit.nests import as_lists
from probly.data_generator.toolkit.outputs import describe
from probly.data_generator.toolkit.parts import LABEL_KEYS

GETTER = "input_getter, which picks the inputs from a sample, or from a loader's batch"


def call_with(function: Callable[..., Any], inputs: Any, called: Any = None) -> Any:
    """Call a model with the inputs of a batch as its one argument, or spread where it only takes several.

    A tuple becomes positional arguments, a mapping keywords. Most functions of arrays take the whole.

    Args:
        function: The model.
        inputs: The inputs of a batch.
        called: Whose signature tells; by default that of ``function``.

    Raises:
        TypeError: It takes another number of inputs; the message says how many, and what a batch has.

    Examples:
        >>> call_with(lambda batch: sum(batch), (1, 2)), call_with(lambda left, right: left - right, (1, 2))
        (3, -1)
        >>> call_with(lambda left, right: left - right, {"right": 1, "left": 2, "label": 0})
        1
    """
    inputs = as_lists(inputs)
    called = function if called is None else called
    takes = signature_of(called) if isinstance(inputs, tuple | Mapping) else None
    if takes is None or binds(takes, inputs):
        try:
            return function(inputs)
        except TypeError as error:
            takes = signature_of(called)
            if takes is None or binds(takes, inputs):
                raise
            raise TypeError(other_number(takes, inputs)) from error
    named = named_inputs(inputs, takes) if isinstance(inputs, Mapping) else None
    if named is not None:
        return function(**named)
    if isinstance(inputs, tuple) and binds(takes, *inputs):
        return function(*inputs)
    raise TypeError(other_number(takes, inputs))


def named_inputs(inputs: Mapping[Any, Any], takes: inspect.Signature | None) -> dict[str, Any] | None:
    """Return a mapping as keywords of a model, or None where it does not take them.

    Labels are left out unless the model names them: some compute a loss beside their scores. What it takes may be None,
    where that is not known.
    """
    asked = {} if takes is None else takes.parameters
    named = {name: value for name, value in inputs.items() if name in asked or name not in LABEL_KEYS}
    known = all(isinstance(name, str) for name in named) and (takes is None or binds(takes, **named))
    return named if known else None


def signature_of(function: Any) -> inspect.Signature | None:
    """Return what a function takes, or None where Python cannot tell."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def binds(takes: inspect.Signature, *inputs: Any, **named: Any) -> bool:
    """Return whether a function can be called with these arguments."""
    try:
        takes.bind(*inputs, **named)
    except TypeError:
        return False
    return True


def other_number(takes: inspect.Signature, inputs: Any) -> str:
    """Say how many inputs a model takes, which the batch has not.

    Examples:
        >>> other_number(inspect.signature(lambda left, right, scale=1: left), (1, 2, 3, 4)).partition(";")[0]
        'the model takes 2 inputs or more (left, right, scale=1), but a batch has 4 (int, int, int, int)'
    """
    parts = inputs if isinstance(inputs, tuple | Mapping) else (inputs,)
    given = [repr(part) if isinstance(inputs, Mapping) else describe(part) for part in parts]
    return f"the model takes {wanted(takes)}, but a batch has {len(given)} ({', '.join(given)}); set {GETTER}"


def wanted(takes: inspect.Signature) -> str:
    """Say how many inputs a model takes, and their names."""
    parameters = [one.replace(annotation=inspect.Parameter.empty) for one in takes.parameters.values()]
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    count = sum(one.default is one.empty and one.kind not in several for one in parameters)
    more = " or more" if count < len(parameters) else ""
    return f"{count} input{'' if count == 1 else 's'}{more} ({', '.join(map(str, parameters))})"
