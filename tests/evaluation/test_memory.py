"""Memory does not depend on the size of what is evaluated, only on the numbers that come out per sample."""

import tracemalloc

import numpy as np
import pytest

from probly_data_generator_evaluation import (
    Balls,
    ConvexHulls,
    HumanVotes,
    calibration_errors,
    compare_to_humans,
    coverage,
    decompose,
    fit_temperature,
    rank,
    sample_labels,
)
from tests.evaluation.numbers import some_members, some_rows

SAMPLES, CLASSES = 10_000, 500
ROWS = np.broadcast_to(some_rows(0, 1, CLASSES) * 0.9 + 0.1 / CLASSES, (SAMPLES, CLASSES))
MEMBERS = np.broadcast_to(some_members(0, 1, 2, CLASSES), (SAMPLES, 2, CLASSES))
COUNTS = np.broadcast_to(sample_labels(ROWS[:1], n=30, counts=True), (SAMPLES, CLASSES))
LABELS = np.arange(SAMPLES) % CLASSES


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda: decompose(MEMBERS),
        lambda: rank(ROWS, "margin"),
        lambda: sample_labels(ROWS, n=5),
        lambda: ConvexHulls(MEMBERS).covers(ROWS),
        lambda: coverage(Balls(ROWS, 0.1), ROWS),
        lambda: compare_to_humans(ROWS, HumanVotes(COUNTS)).summary(),
        lambda: calibration_errors(ROWS, LABELS),
        lambda: fit_temperature(ROWS, HumanVotes(COUNTS)),
    ],
)
def test_an_evaluation_holds_a_few_blocks(evaluate):
    """The rows take 40 MB, the members 80 MB."""
    tracemalloc.start()
    try:
        evaluate()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30e6
