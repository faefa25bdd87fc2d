"""Several targets and views through the loader of JAX."""

import jax
import numpy as np

from probly.data_generator import Distributions
from probly.data_generator.jax_first_order_generator import output_dataloader
from probly.data_generator.targets import SparseTargets

MEMBERS = np.random.default_rng(0).dirichlet(np.ones(6), size=(10, 3)).astype(np.float32)
TEACHER = Distributions(MEMBERS.mean(axis=1), columns={"members": MEMBERS})


def test_targets_and_views_are_arrays_of_jax():
    base = (np.arange(10, dtype=np.float32), np.arange(10) % 6)
    loader = output_dataloader(base, TEACHER, batch_size=4, shuffle=True, seed=0, targets=["view", "top-2"])
    for epoch in range(4):
        for inputs, _labels, view, top in loader:
            places = np.asarray(inputs, int)
            np.testing.assert_array_equal(view, MEMBERS[places, epoch % 3])
            assert type(top) is SparseTargets
            assert all(isinstance(part, jax.Array) for part in (view, *top))
            expected = np.sort(TEACHER.probabilities[places], axis=1)[:, :-3:-1]
            np.testing.assert_array_equal(top.probabilities, expected)
            np.testing.assert_array_equal(
                np.take_along_axis(TEACHER.probabilities[places], np.asarray(top.classes), axis=1), expected
            )
