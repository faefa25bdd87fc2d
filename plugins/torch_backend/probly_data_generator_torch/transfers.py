"""Copies between the host and a CUDA device that overlap with computing.

Copies in either direction have a stream of their own, so that the next batch arrives, and the last one leaves, while
this one is computed. The scores of a batch are fetched after the next one was dispatched: an event that was recorded
where they were copied on the device lets the copy to the host wait for their own batch only.
"""

import functools
from typing import Any

import torch

COMPUTED = "_probly_computed"
"""The attribute of a copy: the event after which it is there, and its version, which a change in place raises."""


@functools.cache
def _stream(device: torch.device, direction: str) -> Any:  # the direction tells two streams apart
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no types for it


def sent_to_cuda(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor of the host to a CUDA device, without waiting."""
    stream, current = _stream(device, "in"), torch.cuda.current_stream(device)
    with torch.cuda.stream(stream):
        # torch keeps the page-locked copy until the transfer has ended.
        moved = tensor.pin_memory().to(device, non_blocking=True)
    if tensor.is_pinned():  # the caller's own memory, which a loader may fill again
        stream.synchronize()
    current.wait_stream(stream)
    moved.record_stream(current)
    return moved


def copied_on_cuda(tensor: torch.Tensor) -> torch.Tensor:
    """Copy a tensor on its own CUDA device, with a note of when it is there."""
    copied = tensor.clone()
    if not copied.is_inference():  # these do not count their changes
        computed = torch.cuda.Event()  # type: ignore[no-untyped-call]
        computed.record(torch.cuda.current_stream(tensor.device))
        setattr(copied, COMPUTED, (computed, copied._version))  # noqa: SLF001  # torch has no public name for it
    return copied


def fetched(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of a tensor in host memory, waiting for no other batch; one that changed is returned as it is."""
    computed, version = getattr(tensor, COMPUTED, (None, None))
    if computed is None or tensor.is_inference() or version != tensor._version:  # noqa: SLF001
        return tensor
    stream = _stream(tensor.device, "out")
    hosted = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    with torch.no_grad(), torch.cuda.stream(stream):
        stream.wait_event(computed)
        hosted.copy_(tensor, non_blocking=True)
    stream.synchronize()
    return hosted
