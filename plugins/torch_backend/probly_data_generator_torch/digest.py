"""Digests of weights and of tensors, by which a store tells whether it is continued with the same ones."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from probly.data_generator.run.identity import SAMPLED_ROWS, WHOLE_BYTES
from probly.data_generator.toolkit.digest import digest
from probly_data_generator_torch.data import tensors_behind


def digest_of_weights(module: torch.nn.Module | None) -> str:
    """Return the digest of all parameters and buffers, or ``""`` where no Module is seen.

    Examples:
        >>> model = torch.nn.Linear(2, 2)
        >>> before = digest_of_weights(model)
        >>> _ = torch.nn.init.zeros_(model.bias)
        >>> before == digest_of_weights(model), digest_of_weights(None)
        (False, '')
    """
    if module is None:
        return ""
    named = ((name, value) for name, value in module.state_dict().items() if isinstance(value, torch.Tensor))
    return digest(_bytes(named))


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
