"""What users may ask of torch by name: ``FirstOrderDataGenerator(..., options={"autocast": "bfloat16"})``."""

import copy
from collections.abc import Mapping
from typing import Any

import torch

from probly_data_generator_torch.forward import TorchModel


def with_options(model: TorchModel, chosen: Mapping[str, Any]) -> TorchModel:
    """Return a model that runs as chosen; a live Module is never changed for it.

    Raises:
        ValueError: An option does not fit the kind of model.
    """
    if chosen["channels_last"]:
        model = _channels_last(model)
    if chosen["compile"]:
        _refuse(model, "compile", exported=model.sizes is not None, keras=model.is_keras)
        model.function = torch.compile(model.function)
        model.compiled = True
    if chosen["autocast"]:
        model.autocast = getattr(torch, chosen["autocast"])
    model.num_workers = chosen["num_workers"]
    # Neither the number of workers nor trust changes a row.
    model.options = {name: chosen[name] for name in ("autocast", "channels_last", "compile") if chosen[name]}
    return model


def _refuse(model: TorchModel, option: str, **kinds: bool) -> None:
    for kind, applies in kinds.items():
        if applies:
            message = (
                f"backend 'torch': option {option!r} is for torch.nn.Modules and functions of tensors, got "
                f"{'an exported program' if kind == 'exported' else type(model.function).__name__}; leave it out"
            )
            raise ValueError(message)


def _channels_last(model: TorchModel) -> TorchModel:
    """Copy a Module, because the order of its weights in memory would change."""
    hidden = model.function is not model.module
    _refuse(model, "channels_last", exported=model.sizes is not None, keras=model.is_keras, hidden=hidden)
    module: Any = copy.deepcopy(model.module)
    module.to(memory_format=torch.channels_last)
    state = model.live_state or getattr(model.module, "state_dict", None)
    return TorchModel(module, model.torch_device, module, channels_last=True, live_state=state)
