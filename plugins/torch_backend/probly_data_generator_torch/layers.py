"""Keeping what hidden layers return: by torch's own forward hooks."""

import copy
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from probly.data_generator.toolkit.outputs import Kept, describe

if TYPE_CHECKING:
    from probly_data_generator_torch.forward import TorchModel


def with_layers(model: "TorchModel", layers: Sequence[str]) -> "TorchModel":
    """Return a model that returns ``Kept``; see the hook ``keep_layers``.

    Args:
        model: What ``load_model`` returned.
        layers: Names as in ``module.named_modules()``.

    Raises:
        ValueError: There is no such layer, or none can be seen.
    """
    if model.module is None or model.sizes is not None:
        what = "an exported program" if model.sizes is not None else type(model.function).__name__
        message = f"keep: the layers of {what} cannot be seen; pass the torch.nn.Module itself"
        raise ValueError(message)
    known = {name: part for name, part in model.module.named_modules() if name}
    for name in layers:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3) or list(known)[:20]
            message = f"keep: the model has no layer {name!r}; there are, for example, {', '.join(map(repr, close))}"
            raise ValueError(message)
    kept = copy.copy(model)
    kept.kept_layers = {name: known[name] for name in layers}
    return kept


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
