"""kill -9 of a run with passes of a Keras model: what continues it has the same bits."""

import numpy as np

from tests.frameworks.killed import check_killed_passes
from tests.tf_backend.mlp import INPUTS, WEIGHTS
from tests.tf_backend.test_members import normed

KILLED_INPUTS = INPUTS[:23]


def killed_model():
    """Return a model of the same weights in each process."""
    model = normed()
    model.layers[-1].set_weights([WEIGHTS.first[:, :3], WEIGHTS.second_bias])
    return model


def test_passes_that_are_killed_are_finished_by_the_same_call(tmp_path):
    model = check_killed_passes(__name__, tmp_path)
    for found, value in zip(model.get_layer("norm").get_weights(), (2.0, 0.5, 0.25, 4.0), strict=True):
        np.testing.assert_array_equal(found, np.full(5, value, np.float32))
