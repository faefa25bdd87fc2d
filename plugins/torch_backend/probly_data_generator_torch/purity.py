"""Which modules cannot write to their inputs, so that a batch need not be copied for them."""

from types import FunctionType, MethodType
from typing import Any

import torch
from torch.nn.modules import module as torch_module

SHARED = "cpu, shared"
"""What ``to_device`` takes for "the CPU, without a copy"; no device of torch has such a name."""


def spares_inputs(module: torch.nn.Module) -> bool:
    """Return whether a model is made of torch's own layers alone, none of which works in place or calls a hook.

    Anything else may write to its inputs, and gets copies.

    Examples:
        >>> spares_inputs(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()))
        True
        >>> spares_inputs(torch.nn.Sequential(torch.nn.ReLU(inplace=True)))
        False
    """
    hooks = (torch_module._global_forward_hooks, torch_module._global_forward_pre_hooks)  # noqa: SLF001  # no public name
    parts = list(module.modules())
    if any(hooks) or not all(map(_is_own_layer, parts)):
        return False
    # Libraries that quantise or accelerate replace methods, of one layer or of a whole class.
    kinds = {kind for part in parts for kind in type(part).__mro__}
    return all(_is_torchs(value) for kind in kinds for value in vars(kind).values() if _is_function(value))


def _is_own_layer(part: torch.nn.Module) -> bool:
    kind = type(part)
    own = kind.__module__.startswith("torch.nn.modules.")
    simple = kind is torch.nn.Sequential or next(part.children(), None) is None
    hooked = part._forward_hooks or part._forward_pre_hooks  # noqa: SLF001
    patched = any(map(_is_function, vars(part).values()))
    return own and simple and not hooked and not patched and not getattr(part, "inplace", False)


def _is_function(value: object) -> bool:
    return isinstance(value, FunctionType | MethodType)


def _is_torchs(function: Any) -> bool:
    return (function.__module__ or "").partition(".")[0] in ("torch", "builtins")
