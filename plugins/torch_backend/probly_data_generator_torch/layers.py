"""Keeping what hidden layers return: by torch's own forward hooks."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from probly.data_generator.toolkit.outputs import Kept, describe


def find_layers(module: torch.nn.Module, layers: Sequence[str]) -> dict[str, torch.nn.Module]:
    """Return layers by their names in ``module.named_modules()``.

    Raises:
        ValueError: There is no such layer; the message names some that there are.
    """
    known = {name: part for name, part in module.named_modules() if name}
    for name in layers:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3) or list(known)[:20]
            message = f"keep: the model has no layer {name!r}; there are, for example, {', '.join(map(repr, close))}"
            raise ValueError(message)
    return {name: known[name] for name in layers}


def call_with_layers(function: Callable[[Any], Any], inputs: Any, layers: Mapping[str, torch.nn.Module]) -> Kept:
    """Call a model and return its outputs with what each layer returned.

    Raises:
        ValueError: A layer was not called, or more than once.
        TypeError: It did not return one tensor.
    """
    found: dict[str, list[Any]] = {name: [] for name in layers}
    handles = [part.register_forward_hook(_catcher(found[name])) for name, part in layers.items()]
    try:
        outputs = function(inputs)
    finally:
        for handle in handles:
            handle.remove()
    for name, answers in found.items():
        if len(answers) != 1:
            message = (
                f"keep: layer {name!r} was called {len(answers)} times in one pass; name a layer that is called once, "
                "in a model that is not compiled"
            )
            raise ValueError(message)
        if not isinstance(answers[0], torch.Tensor):
            message = f"keep: layer {name!r} returned {describe(answers[0])}; name a layer that returns one tensor"
            raise TypeError(message)
    return Kept(outputs, {name: answers[0] for name, answers in found.items()})


def _catcher(found: list[Any]) -> Callable[[Any, Any, Any], None]:
    def catch(module: Any, inputs: Any, output: Any) -> None:  # what torch calls it with
        # A copy: a layer that works in place, such as ReLU, may change it next.
        found.append(output.clone() if isinstance(output, torch.Tensor) else output)

    return catch
