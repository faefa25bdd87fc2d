"""Arrays and tensors: between NumPy and torch, and onto devices."""

import contextlib
import copy
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence
from torch.utils.data import default_collate, get_worker_info

from probly.data_generator.toolkit.nests import Samples, check_keys, leaves, map_leaves
from probly.data_generator.toolkit.tables import is_table
from probly_data_generator_torch.devices import resolve_device
from probly_data_generator_torch.transfers import copied_on_cuda, fetched, sent_to_cuda

PICTURES = (
    "the samples hold PIL images, which are no tensors yet; give the dataset a transform, such as "
    "torchvision.transforms.ToTensor(), or make tensors of them in input_getter"
)
"""What is said of pictures that nobody made tensors of."""
PAIRS = (tuple, list)
"""The types of a sample that hold an input and a label."""


def to_host(data: Any) -> Any:
    """Return a nest with NumPy arrays in place of its tensors."""
    return map_leaves(to_numpy, data)


def to_target(data: Any, name: str) -> Any:
    """Return a nest with new tensors on a device in place of its tensors and NumPy arrays.

    Raises:
        ValueError: The device is not available; the message lists those that are.
    """
    device = resolve_device(name)
    return map_leaves(lambda leaf: to_tensor(leaf, device), data)


def to_numpy(leaf: Any) -> Any:
    """Return a tensor as a NumPy array, which may share its memory, half precision as float32; others as they are."""
    if not isinstance(leaf, torch.Tensor):
        return leaf.astype(np.float32) if isinstance(leaf, np.ndarray) and leaf.dtype == np.float16 else leaf
    if leaf.is_cuda:
        leaf = fetched(leaf)
    if leaf.is_floating_point() and leaf.element_size() < 4:  # NumPy has no bfloat16
        leaf = leaf.float()
    return leaf.numpy(force=True)


def to_tensor(leaf: Any, device: torch.device) -> Any:
    """Return an array or a tensor as a new tensor on the device; other leaves as they are.

    A copy also where it is there already: a model may work in place, and an attempt that fails is repeated with the
    inputs as they were.
    """
    if isinstance(leaf, torch.Tensor):
        return _copied(leaf, device)
    if hasattr(leaf, "to") and not hasattr(leaf, "__array__"):
        return _moved(leaf, device)
    leaf = _numbers_of(leaf)
    if not _has_numbers(leaf):
        return leaf
    if device.type == "cpu":
        return torch.from_numpy(_plain_copy(leaf))
    return to_tensor(torch.from_numpy(plain(leaf)), device)


def _copied(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    if tensor.layout is not torch.strided or tensor.is_nested:
        return tensor.to(device, copy=True)
    if device.type == "cuda" and tensor.is_cpu:
        return sent_to_cuda(tensor, device)
    if device.type == "cuda" and tensor.device == device:
        return copied_on_cuda(tensor)
    # Copies to the host must have arrived when they are read; others wait in a queue.
    return tensor.to(device, non_blocking=device.type != "cpu", copy=True)


def _moved(leaf: Any, device: torch.device) -> Any:
    """Return a copy of an object that moves itself, such as a packed sequence or a batch of graphs."""
    if isinstance(leaf, PackedSequence):
        return leaf._replace(data=leaf.data.clone()).to(device)  # type: ignore[arg-type]  # its types know no device
    own = leaf.clone() if hasattr(leaf, "clone") else copy.copy(leaf)
    return own.to(device)


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


def _numbers_of(leaf: Any) -> Any:
    """Return the numbers of a table in the order of its columns; one that holds anything else stays what it is."""
    if isinstance(leaf, np.ndarray) or not is_table(leaf):
        return leaf
    array = np.asarray(leaf)
    return array if _has_numbers(array) else leaf


def _has_numbers(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc"


def _plain_copy(array: Any) -> Any:
    return np.array(array, dtype=array.dtype.newbyteorder("="))


def stack_samples(samples: Any) -> Any:
    """Stack samples as torch's DataLoader does, arrays of any strides and byte order included."""
    if all(isinstance(sample, np.ndarray) and _has_numbers(sample) for sample in samples):
        samples = [torch.from_numpy(plain(sample)) for sample in samples]
    if all(type(sample) is torch.Tensor for sample in samples):
        return torch.stack(samples) if get_worker_info() is None else _stacked_in_worker(samples)
    if all(map(_is_text, samples)):
        return Samples(sample.tolist() if isinstance(sample, np.ndarray) else sample for sample in samples)
    check_keys(samples)  # which default_collate does not
    first = samples[0]
    if type(first) is dict:
        return {name: stack_samples([sample[name] for sample in samples]) for name in first}
    if all(type(sample) is tuple and len(sample) == len(first) for sample in samples):
        return [stack_samples(list(part)) for part in zip(*samples, strict=True)]  # a list, as default_collate's
    try:
        return default_collate([map_leaves(plain, _with_tensors(sample)) for sample in samples])
    except TypeError as error:
        if any(type(leaf).__module__.startswith("PIL.") for sample in samples for leaf in leaves(sample)):
            message = PICTURES
            raise TypeError(message) from error
        raise


def _is_text(sample: Any) -> bool:
    """Return whether a sample is text, or a list of texts, which default_collate would transpose."""
    several = isinstance(sample, list) or (isinstance(sample, np.ndarray) and sample.ndim == 1)
    return all(isinstance(text, str | bytes) for text in (sample if several else [sample]))


def _with_tensors(nest: Any) -> Any:
    """Return a sample with tensors in place of lists of numbers, which default_collate would transpose."""
    if isinstance(nest, list):
        with contextlib.suppress(TypeError, ValueError, RuntimeError):  # lists of something else
            return torch.tensor(nest)
        return [_with_tensors(part) for part in nest]
    if type(nest) is tuple:
        return tuple(map(_with_tensors, nest))
    return {name: _with_tensors(part) for name, part in nest.items()} if type(nest) is dict else nest


def _stacked_in_worker(samples: Any) -> torch.Tensor:
    """Stack tensors where the other process will read them, as default_collate does for the plain ones."""
    with torch.no_grad():  # what has gradients does not get through to the other process
        if len({sample.dtype for sample in samples}) == 1:  # else it takes the first one's for all
            with contextlib.suppress(RuntimeError, TypeError):  # sparse, conjugated, of different shapes
                return default_collate(samples)  # type: ignore[no-any-return]  # a tensor, for tensors
        return torch.stack(samples)
