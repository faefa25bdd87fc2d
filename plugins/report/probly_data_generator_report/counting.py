"""What is counted block by block in memory that does not grow: the samples to list, and where probability goes."""

from typing import NamedTuple

import numpy as np

from probly.data_generator.labels import ClassIndices
from probly.data_generator.rows import FloatRows
from probly_data_generator_report.scores import Counts, Numbers

GROUPS_AT_MOST = 1024
"""Soft mass is counted per class up to this many classes, per range of neighbouring classes beyond."""


class Sample(NamedTuple):
    """One row, as the lists of a report show it.

    Attributes:
        dataset_index: Which one.
        score: What it is listed for, in nats.
        row: Its distribution.
        label: The column of its label, or None.
    """

    dataset_index: int
    score: float
    row: FloatRows
    label: int | None


class Leaders:
    """The samples with the largest scores so far; of equal ones, those that came first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.samples: list[Sample] = []

    def add(self, scores: Numbers, indices: Counts, rows: FloatRows, labels: ClassIndices | None) -> None:
        """Compare the samples of a block with the leaders."""
        if not self.count:
            return
        threshold = self.samples[-1].score if len(self.samples) == self.count else -1.0
        candidates = np.flatnonzero(scores > threshold)
        best = candidates[np.argsort(-scores[candidates], kind="stable")][: self.count].tolist()
        self.samples += [
            Sample(int(indices[at]), float(scores[at]), rows[at].copy(), _known(labels, at)) for at in best
        ]
        self.samples = sorted(self.samples, key=lambda sample: -sample.score)[: self.count]


def _known(labels: ClassIndices | None, at: int) -> int | None:
    return None if labels is None or labels[at] < 0 else int(labels[at])


class SoftMass:
    """The summed rows of each class: where its samples' probability goes.

    Attributes:
        width: How many neighbouring classes are counted as one; 1 up to 1024 classes.
        counts: Rows per group.
        sums: Summed probabilities, shape ``(groups, groups)``: by the row's class and the column.
    """

    def __init__(self, classes: int) -> None:
        self.width = max(1, -(-classes // GROUPS_AT_MOST))
        groups = -(-classes // self.width)
        self.counts = np.zeros(groups, np.int64)
        self.sums = np.zeros((groups, groups))

    def add(self, rows: FloatRows, classes: ClassIndices) -> None:
        """Add rows to the sums of their classes."""
        if self.width > 1:
            rows = np.add.reduceat(rows, np.arange(0, rows.shape[1], self.width), axis=1)
        groups = classes // self.width
        self.counts += np.bincount(groups, minlength=len(self.counts))
        order = np.argsort(groups, kind="stable")
        rows, present = rows[order], np.unique(groups)
        edges = [*np.searchsorted(groups[order], present).tolist(), len(rows)]
        for number, group in enumerate(present.tolist()):
            self.sums[group] += rows[edges[number] : edges[number + 1]].sum(axis=0, dtype=np.float64)

    @property
    def means(self) -> Numbers:
        """The mean distribution of each class, shape ``(groups, groups)``; zeros where a class has no rows."""
        means: Numbers = self.sums / np.maximum(self.counts, 1)[:, None]
        return means
