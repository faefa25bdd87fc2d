"""Copies from and to CUDA: in which order streams and events are asked, with stand-ins for them.

What a GPU makes of it is tested where there is one: see the devices in ``test_arrays`` and ``test_models``.
"""

import contextlib
import types

import pytest
import torch

from probly_data_generator_torch import transfers


class Event:
    def __init__(self, log):
        self.log = log

    def record(self, stream):
        self.log.append(("record", self, stream))


class Stream:
    def __init__(self, log):
        self.log = log

    def wait_event(self, event):
        self.log.append(("wait", event))

    def synchronize(self):
        self.log.append(("synchronize", self))


@pytest.fixture
def log(monkeypatch):
    """Note what is asked of streams and events; tensors stay on the CPU."""
    log = []

    @contextlib.contextmanager
    def stream(chosen):
        log.append(("enter", chosen))
        yield
        log.append(("leave", chosen))

    cuda = types.SimpleNamespace(
        Event=lambda: Event(log), Stream=lambda device: Stream(log), stream=stream, current_stream=lambda device: "main"
    )
    stand_in = types.SimpleNamespace(
        cuda=cuda, no_grad=torch.no_grad, empty=lambda shape, dtype, pin_memory: torch.empty(shape, dtype=dtype)
    )
    monkeypatch.setattr(transfers, "torch", stand_in)
    transfers._stream.cache_clear()
    yield log
    transfers._stream.cache_clear()


def test_what_is_fetched_waits_for_its_own_batch(log):
    first, second = (transfers.copied_on_cuda(torch.full((2,), number)) for number in (1.0, 2.0))
    (_, computed, stream), (_, later, _) = log
    assert stream == "main"
    log.clear()
    hosted = transfers.fetched(first)
    assert hosted.tolist() == [1.0, 1.0]
    assert hosted is not first
    out = log[0][1]
    assert log == [("enter", out), ("wait", computed), ("leave", out), ("synchronize", out)]
    log.clear()
    transfers.fetched(second)
    assert log == [("enter", out), ("wait", later), ("leave", out), ("synchronize", out)]


def test_what_changed_or_was_not_copied_here_is_left_to_torch(log):
    copied = transfers.copied_on_cuda(torch.zeros(2))
    log.clear()
    copied.add_(1)
    for tensor in (copied, copied[:1], copied * 2, torch.zeros(2)):
        assert transfers.fetched(tensor) is tensor
    with torch.inference_mode():
        uncounted = transfers.copied_on_cuda(torch.zeros(2))
    assert transfers.fetched(uncounted) is uncounted
    assert log == []
