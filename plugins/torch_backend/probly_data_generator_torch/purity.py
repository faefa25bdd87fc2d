"""Which modules cannot write to their inputs, so that a batch need not be copied for them."""

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
    return not any(hooks) and all(map(_spares_inputs, module.modules()))


def _spares_inputs(part: torch.nn.Module) -> bool:
    kind = type(part)
    own = kind.__module__.startswith("torch.nn.modules.")
    simple = kind is torch.nn.Sequential or next(part.children(), None) is None
    changed = "forward" in vars(part) or part._forward_hooks or part._forward_pre_hooks  # noqa: SLF001
    return own and simple and not changed and not getattr(part, "inplace", False)
