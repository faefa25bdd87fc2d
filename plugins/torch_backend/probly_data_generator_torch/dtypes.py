"""What an error about dtypes is about: which inputs a model got, what it computes with, and where to cast."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch

ABOUT_DTYPES = re.compile(
    r"dtype|datatype|scalar type|should be the same|not implemented for '(Long|Int|Short|Char|Byte|Bool|Double|Half)'",
    re.IGNORECASE,
)
"""The words that torch's own errors have for inputs of another dtype than the weights."""
WHOLE = re.compile(r"scalar types: Long|indices", re.IGNORECASE)
"""Where an embedding wants whole numbers."""


def dtype_note(error: BaseException, inputs: Any, module: torch.nn.Module | None) -> str | None:
    """Return what to cast, and where, for an error that the dtype of inputs caused; None for any other error.

    Args:
        error: What the model raised.
        inputs: The inputs of the batch.
        module: The model, or None where it is none.

    Examples:
        >>> error = RuntimeError("mat1 and mat2 must have the same dtype, but got Double and Float")
        >>> dtype_note(error, torch.ones(2, dtype=torch.float64), torch.nn.Linear(2, 2)).partition(":")[0]
        'the inputs are float64, but the model computes with float32'
    """
    text = str(error)
    if not ABOUT_DTYPES.search(text):
        return None
    weights = _weights(module)
    wanted = torch.int64 if WHOLE.search(text) else weights
    given = sorted({_name(leaf.dtype) for leaf in _tensors(inputs) if leaf.dtype != wanted})
    if wanted is None or not given:
        return None
    name = _name(wanted)
    into = "looks up whole numbers" if wanted is torch.int64 else f"computes with {name}"
    castable = wanted is not torch.int64 and len(given) == 1 and "float" in given[0]
    other = f", or cast the model, model.to(torch.{given[0]})" if castable else ""
    return (
        f"the inputs are {', '.join(given)}, but the model {into}: set input_dtype={name!r}, or cast them in the "
        f"dataset, array.astype({name!r}) or tensor.to(torch.{name}){other}"
    )


def _weights(module: torch.nn.Module | None) -> torch.dtype | None:
    """Return the dtype that most of a module's parameters of real numbers have."""
    counts: dict[torch.dtype, int] = {}
    for weights in () if module is None else module.parameters():
        if weights.is_floating_point():
            counts[weights.dtype] = counts.get(weights.dtype, 0) + weights.numel()
    return max(counts, key=lambda dtype: counts[dtype], default=None)


def _tensors(nest: Any) -> Iterator[torch.Tensor]:
    if isinstance(nest, torch.Tensor):
        if nest.dtype is not torch.bool:  # a mask is to be one
            yield nest
    elif isinstance(nest, Mapping | list | tuple):
        for value in nest.values() if isinstance(nest, Mapping) else nest:
            yield from _tensors(value)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
