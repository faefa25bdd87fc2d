"""Passes with dropout and other stochastic layers active, and everything else as in ``forward``."""

import contextlib
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

import torch

NAMES = ("drop", "stochastic", "noise")
"""What the names of stochastic layers contain: Dropout2d of torch, StochasticDepth of torchvision, DropPath of timm."""


def stochastic_parts(parts: Iterable[torch.nn.Module]) -> list[torch.nn.Module]:
    """Return those modules whose ``training`` flag switches something random, and nothing else.

    They are known by their names, as layers of torch's own with a dropout inside, or as classes whose code reads both
    ``training`` and something called dropout, as ``F.dropout(x, training=self.training)`` does.

    Args:
        parts: ``list(module.modules())``.

    Examples:
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Dropout())
        >>> stochastic_parts(model.modules())
        [Dropout(p=0.5, inplace=False)]
    """
    return [part for part in parts if hasattr(part, "training") and _is_stochastic(part)]


def _is_stochastic(part: torch.nn.Module) -> bool:
    name = str(getattr(part, "original_name", type(part).__name__)).lower()  # TorchScript keeps the class's name there
    if any(word in name for word in NAMES):
        return True
    if isinstance(part, torch.nn.RNNBase | torch.nn.MultiheadAttention):
        return bool(part.dropout)
    # In evaluation mode its fast path leaves out the dropout layers in it; the flag does nothing else.
    if isinstance(part, torch.nn.TransformerEncoderLayer):
        return True
    if type(part).__module__.startswith("torch."):
        return False
    return any(
        "training" in read and any("drop" in one.lower() for one in read)
        for kind in type(part).__mro__
        if not kind.__module__.startswith("torch.")
        for read in (set(value.__code__.co_names) for value in vars(kind).values() if isinstance(value, FunctionType))
    )


@contextlib.contextmanager
def drawing(parts: Iterable[torch.nn.Module], device: torch.device, seed: int) -> Iterator[None]:
    """Activate the stochastic ones of some modules, which are in evaluation mode, and draw from a seed alone.

    Args:
        parts: ``list(module.modules())``; nobody else may run them meanwhile.
        device: Where the model computes.
        seed: What the random numbers follow from; the caller's generators are as before afterwards.
    """
    active = stochastic_parts(parts)
    indices: list[int] = []
    if device.type != "cpu":
        indices = [torch.accelerator.current_device_index() if device.index is None else device.index]
    kind = "cuda" if device.type == "cpu" else device.type  # any, where there is no device to look at
    with torch.random.fork_rng(devices=indices, device_type=kind):
        torch.default_generator.manual_seed(seed)
        if indices:
            with torch.accelerator.device_index(indices[0]):
                torch.get_device_module(device.type).manual_seed(seed)
        try:
            for part in active:
                part.training = True
            yield
        finally:
            for part in active:
                part.training = False


def refuse_without_stochastic_layers(function: Any, *, exported: bool, is_keras: bool) -> None:
    """Refuse models whose stochastic layers torch cannot activate.

    Raises:
        ValueError: The message says what to do.
    """
    if exported:
        message = (
            "passes: an exported program was fixed in evaluation mode, without dropout; pass the Module that it was "
            "exported from"
        )
        raise ValueError(message)
    if is_keras:
        message = (
            f"passes: the dropout layers of {type(function).__name__}, a Keras model that runs on torch, cannot be "
            'activated without its other layers; run it with Keras on TensorFlow or JAX (KERAS_BACKEND="tensorflow")'
        )
        raise ValueError(message)
