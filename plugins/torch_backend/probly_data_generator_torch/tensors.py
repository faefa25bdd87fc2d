"""Arrays and tensors: between NumPy and torch, and onto devices."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate

from probly.data_generator.nests import map_leaves


def is_half(tensor: torch.Tensor) -> bool:
    """Return whether a float dtype has fewer than 32 bits."""
    return tensor.is_floating_point() and tensor.element_size() < 4


def to_numpy(leaf: Any) -> Any:
    """Return a tensor as a NumPy array, which may share its memory; other leaves as they are."""
    if not isinstance(leaf, torch.Tensor):
        return leaf
    # NumPy has no bfloat16.
    return (leaf.float() if is_half(leaf) else leaf).numpy(force=True)


def to_tensor(leaf: Any, device: torch.device) -> Any:
    """Return an array or a tensor as a new tensor on the device; other leaves as they are."""
    if _has_numbers(leaf):
        shared = torch.from_numpy(_plain_copy(leaf) if device.type == "cpu" else plain(leaf))
        return shared.to(device, non_blocking=True)
    if not isinstance(leaf, torch.Tensor):
        return leaf
    # A copy also on the same device: a model may work in place, and an attempt that fails is repeated with the inputs
    # as they were. Copies to the host must have arrived when they are read; copies to a device wait in its queue.
    return leaf.to(device, non_blocking=device.type != "cpu", copy=True)


def plain(leaf: Any) -> Any:
    """Return an array in the form that torch can share: native bytes, no negative strides, writable.

    Examples:
        >>> torch.from_numpy(plain(np.arange(3, dtype=">i4")[::-1]))
        tensor([2, 1, 0], dtype=torch.int32)
    """
    if not _has_numbers(leaf):
        return leaf
    shareable = leaf.flags.writeable and leaf.dtype.isnative and min(leaf.strides, default=0) >= 0
    return leaf if shareable else _plain_copy(leaf)


def _has_numbers(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc"


def _plain_copy(array: Any) -> Any:
    return np.array(array, dtype=array.dtype.newbyteorder("="))


def stack_samples(samples: Any) -> Any:
    """Stack samples as torch's DataLoader does, arrays of any strides and byte order included."""
    return default_collate([map_leaves(plain, sample) for sample in samples])
