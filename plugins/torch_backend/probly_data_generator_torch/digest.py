"""Digests of models and of tensors, by which a store tells whether it is continued with the same ones."""

from collections.abc import Iterator
from types import MethodType
from typing import Any

import numpy as np
import torch

from probly.data_generator.run.identity import SAMPLED_ROWS, WHOLE_BYTES
from probly.data_generator.toolkit.digest import digest, digest_state
from probly_data_generator_torch.contents import parts_of
from probly_data_generator_torch.data import tensors_behind


def digest_of_model(function: Any) -> str:
    """Return the digest of everything that a model computes with; see ``toolkit.digest.digest_state``.

    Examples:
        >>> model = torch.nn.Linear(2, 2)
        >>> before = digest_of_model(model)
        >>> _ = torch.nn.init.zeros_(model.bias)
        >>> before == digest_of_model(model), digest_of_model(len)
        (False, 'not seen')
    """
    # A Module that is called is its forward().
    if isinstance(function, MethodType) and isinstance(function.__self__, torch.nn.Module):
        function = function.__self__ if function.__name__ in ("forward", "__call__") else function
    return digest_state(function, parts_of)


def digest_of_data(dataset: Any) -> str | None:
    """Return the digest of a TensorDataset or of (nested) Subsets of one; None for any other dataset.

    Of tensors beyond ``WHOLE_BYTES``, ``SAMPLED_ROWS`` rows from the first to the last are read.

    Examples:
        >>> from torch.utils.data import TensorDataset
        >>> digest_of_data(TensorDataset(torch.zeros(3))) == digest_of_data(TensorDataset(torch.ones(3)))
        False
    """
    found = tensors_behind(dataset)
    if found is None:
        return None
    tensors, rows = found
    parts = [(f"tensor {number}", _sampled(tensor)) for number, tensor in enumerate(tensors)]
    if rows is not None:
        parts.append(("rows", rows))
    return digest(_bytes(iter(parts)))


def _sampled(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.nbytes <= WHOLE_BYTES or len(tensor) <= SAMPLED_ROWS:
        return tensor
    positions = np.linspace(0, len(tensor) - 1, SAMPLED_ROWS).astype(np.int64)
    return tensor[torch.from_numpy(positions).to(tensor.device)]


def _bytes(named: Iterator[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, Any]]:
    """Yield the name, dtype and shape of each tensor, and its bytes in host memory."""
    for name, tensor in named:
        # NumPy has not all of torch's dtypes, but it has their bytes.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        yield f"{name} {tensor.dtype} {tuple(tensor.shape)}", flat.view(torch.uint8).numpy()
