"""Copies between the host and a CUDA device that overlap with computing.

Copies to the device have a stream of their own, so that the next batch arrives while this one is computed. The rows
are sent to page-locked host memory as soon as they are computed: waiting for them then waits for their own batch only,
not for what was dispatched after it.
"""

import functools
from typing import Any

import torch

SENT = "_probly_sent"
"""The attribute of a tensor of rows under way: page-locked memory, the event of its arrival, and the rows' version."""


@functools.cache
def _stream(device: torch.device) -> Any:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no types for it


def to_cuda(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor of the host to a CUDA device, without waiting."""
    stream, current = _stream(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(stream):
        # torch keeps the page-locked copy until the transfer has ended.
        moved = tensor.pin_memory().to(device, non_blocking=True)
    if tensor.is_pinned():  # the caller's own memory, which a loader may fill again
        stream.synchronize()
    current.wait_stream(stream)
    moved.record_stream(current)
    return moved


def send(rows: torch.Tensor) -> torch.Tensor:
    """Begin to copy rows to the host, and return them with a note of it."""
    if rows.is_cuda:
        hosted = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
        hosted.copy_(rows, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record(torch.cuda.current_stream(rows.device))
        setattr(rows, SENT, (hosted, arrived, _version(rows)))
    return rows


def _version(rows: torch.Tensor) -> int | None:
    """Return the number of changes in place; tensors of an inference mode do not count them, and cannot be changed."""
    return None if rows.is_inference() else rows._version  # noqa: SLF001  # torch has no public name for it


def received(tensor: torch.Tensor) -> torch.Tensor:
    """Wait for rows that were sent and return them in host memory; other tensors, and changed ones, as they are."""
    sent = getattr(tensor, SENT, None)
    if sent is None or sent[2] != _version(tensor):
        return tensor
    hosted, arrived, _ = sent
    arrived.synchronize()
    return hosted  # type: ignore[no-any-return]  # what send put there
