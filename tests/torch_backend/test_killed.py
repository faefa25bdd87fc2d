"""kill -9 of a run with passes of a torch model: what continues it has the same bits."""

import copy

import torch

from tests.frameworks.killed import check_killed_passes
from tests.torch_backend.test_members import X, net

KILLED_INPUTS, killed_model = X, net


def test_passes_that_are_killed_are_finished_by_the_same_call(tmp_path):
    expected = copy.deepcopy(net().state_dict())
    model = check_killed_passes(__name__, tmp_path)
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert model.norm.num_batches_tracked == 0
