"""Rows and members that the tests of the evaluation share."""

import numpy as np


def some_rows(seed, samples, classes, sharpness=0.5):
    """Return float64 distributions, some with zeros."""
    random = np.random.default_rng(seed)
    rows = random.dirichlet(np.full(classes, sharpness), samples)
    rows[random.random(rows.shape) < 0.1] = 0
    rows[rows.sum(axis=1) == 0, 0] = 1
    return rows / rows.sum(axis=1, keepdims=True)


def some_members(seed, samples, members, classes, dtype=np.float64):
    """Return members of samples."""
    return some_rows(seed, samples * members, classes).reshape(samples, members, classes).astype(dtype)
