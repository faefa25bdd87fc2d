"""What the members of a mean say: how much of the uncertainty is theirs, and where they contradict each other."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from probly.data_generator.labels import ClassIndices
from probly.data_generator.rows import FloatRows
from probly_data_generator_report.counting import Leaders, Sample
from probly_data_generator_report.scores import Counts, Histogram, entropies

HISTOGRAM_BINS = 40


@dataclass
class MemberCounts:
    """The uncertainty of rows, taken apart by their members.

    Source: Houlsby et al. (2011), https://arxiv.org/abs/1112.5745; Depeweg et al. (2018), arXiv:1710.07283: the entropy
    of the mean is the mean of the entropies, which is of the data, and the mutual information of label and member.

    Attributes:
        count: The members of each sample.
        epistemic: The mutual information of each sample, in nats, over [0, log min(classes, members)].
        aleatoric: The mean entropy of each sample's members, over [0, log classes].
        leaders: The samples with the largest mutual information.
    """

    count: int
    epistemic: Histogram
    aleatoric: Histogram
    leaders: Leaders

    @classmethod
    def empty(cls, count: int, classes: int, samples: int) -> "MemberCounts":
        """Return the counts before any row; ``samples`` is how many leaders to keep."""
        upper = float(np.log(max(min(count, classes), 2)))
        of_data = Histogram.empty(float(np.log(max(classes, 2))), HISTOGRAM_BINS)
        return cls(count, Histogram.empty(upper, HISTOGRAM_BINS), of_data, Leaders(samples))

    def add(self, indices: Counts, rows: FloatRows, members: Any, labels: ClassIndices | None) -> None:
        """Count more rows, the means of ``members`` of shape ``(N, members, classes)``."""
        flat = np.asarray(members, np.float32).reshape(-1, rows.shape[1])
        of_data = entropies(flat).reshape(len(rows), self.count).mean(axis=1)
        mutual = np.maximum(entropies(rows) - of_data, 0.0)
        self.aleatoric.add(of_data)
        self.epistemic.add(mutual)
        self.leaders.add(mutual, indices, rows, labels)

    @property
    def disputed(self) -> list[Sample]:
        """The samples with the largest mutual information, largest first."""
        return self.leaders.samples

    @property
    def means(self) -> dict[str, float]:
        """The means over all samples, in nats."""
        aleatoric, epistemic = self.aleatoric.mean, self.epistemic.mean
        return {"total": aleatoric + epistemic, "aleatoric": aleatoric, "epistemic": epistemic}
