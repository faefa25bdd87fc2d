"""kill -9 of a run with passes of a flax model: what continues it has the same bits."""

import numpy as np

from tests.frameworks.killed import check_killed_passes
from tests.jax_backend.runs import INPUTS
from tests.jax_backend.test_members import MEAN, VARIANCE, Explicit

KILLED_INPUTS, killed_model = INPUTS[:23], Explicit


def test_passes_that_are_killed_are_finished_by_the_same_call(tmp_path):
    model = check_killed_passes(__name__, tmp_path)
    np.testing.assert_array_equal(model.norm.mean[...], np.full(5, MEAN, np.float32))
    np.testing.assert_array_equal(model.norm.var[...], np.full(5, VARIANCE, np.float32))
