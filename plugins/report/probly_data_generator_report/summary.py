"""Everything that a report shows, from one pass over the rows with memory that does not grow with their number."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.calibration import Reliability
from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.label_values import UNLABELLED, label_values
from probly.data_generator.labels import OTHER, ClassIndices, class_columns
from probly.data_generator.metrics import brier_scores
from probly.data_generator.rows import FloatRows
from probly_data_generator_report.counting import Leaders, Sample, SoftMass
from probly_data_generator_report.members import MemberCounts
from probly_data_generator_report.scores import (
    Counts,
    Histogram,
    entropies,
    surprises,
)
from probly_data_generator_report.simplex import TriangleCounts

NUMBERS_AT_ONCE = 1 << 20
"""How much of a store is in memory at a time."""
HISTOGRAM_BINS = 40


@dataclass
class Summary:
    """What ``summarise`` counts; the plots take it in place of distributions, which saves them a pass of their own.

    Attributes:
        distributions: What was summarised.
        labels: The column of each row's label, below 0 for a row without one of the classes, or None.
        label_note: Why labels, or some of them, were not used, or None.
        entropy: In nats, over [0, log classes].
        confidence: The largest entry of each row.
        predicted: How many rows have their largest entry in each column.
        mass: Soft mass by label, or by the largest entry without labels.
        scores: Means over all rows, or over those with a label where they need one; None where there are none.
        reliability: None without labels.
        uncertain: The samples with the largest entropies, largest first.
        unexpected: The samples with the smallest probabilities of their labels, smallest first.
        triangle: Where the rows of three classes lie on the simplex, or None.
        members: The uncertainty, taken apart by the members of each row, or None without members.
    """

    distributions: Distributions
    labels: ClassIndices | None
    label_note: str | None
    entropy: Histogram
    confidence: Histogram
    predicted: Counts
    mass: SoftMass
    reliability: Reliability | None
    triangle: TriangleCounts | None
    leaders: tuple[Leaders, Leaders]
    members: MemberCounts | None = None
    _sums: dict[str, float] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """The number of rows."""
        return len(self.distributions)

    @property
    def labelled(self) -> int:
        """The number of rows that have a label, over which the scores are taken that need one."""
        return 0 if self.labels is None else int(np.count_nonzero(self.labels != UNLABELLED))

    @property
    def classes(self) -> int:
        """The number of columns."""
        return self.distributions.num_classes

    @property
    def title(self) -> str:
        """The name of the store, or of the model."""
        path = getattr(self.distributions, "path", None)
        return path.name if path else str(self.distributions.meta.get("model_name") or "distributions")

    @property
    def uncertain(self) -> list[Sample]:
        """The samples with the largest entropies."""
        return self.leaders[0].samples

    @property
    def unexpected(self) -> list[Sample]:
        """The samples with the least probable labels."""
        return self.leaders[1].samples

    @property
    def listed(self) -> list[Sample]:
        """All samples that the page lists."""
        return [*self.uncertain, *([] if self.members is None else self.members.disputed), *self.unexpected]

    @functools.cached_property
    def keys(self) -> dict[int, str]:
        """The keys of the samples that are listed, such as file names, by index, where there are some."""
        return self.keys_of(sample.dataset_index for sample in self.listed)

    def keys_of(self, indices: Iterable[int]) -> dict[int, str]:
        """Return the keys of some samples by their indices; none where samples have no keys."""
        kept = getattr(self.distributions, "sample_keys", None)
        if kept is None:
            return {}
        wanted = sorted(set(indices))
        places = np.searchsorted(self.distributions.indices, wanted)
        return {index: str(kept[place]) for index, place in zip(wanted, places.tolist(), strict=True)}

    @property
    def scores(self) -> dict[str, float | None]:
        """The means by name, in the order in which a report lists them."""
        labelled = self.labelled
        sums = {name: self._sums[name] / labelled if labelled else None for name in self._sums}
        error = self.reliability.expected_calibration_error if labelled and self.reliability else None
        return {
            **sums,
            "expected_calibration_error": error,
            "mean_entropy": self.entropy.mean if self.samples else None,
            "mean_confidence": self.confidence.mean if self.samples else None,
        }

    @property
    def grouped_by(self) -> str:
        """What says which class a row belongs to, where rows are taken together."""
        return "largest probability" if self.labels is None else "label"

    def names(self) -> list[str]:
        """Return the name of each column; its number where it has none."""
        return self.distributions.class_names or [str(column) for column in range(self.classes)]

    def group_names(self) -> list[str]:
        """Return the name of each row and column of ``mass``: of a class, or of a range such as ``0-20``."""
        if self.mass.width == 1:
            return self.names()
        starts = range(0, self.classes, self.mass.width)
        return [f"{start}-{min(start + self.mass.width, self.classes) - 1}" for start in starts]

    def _add(self, indices: Counts, rows: FloatRows, labels: ClassIndices | None) -> None:
        entropy, best = entropies(rows), rows.argmax(axis=1)
        confidence = rows[np.arange(len(rows)), best].astype(np.float64)
        self.entropy.add(entropy)
        self.confidence.add(confidence)
        self.predicted += np.bincount(best, minlength=self.classes)
        self.leaders[0].add(entropy, indices, rows, labels)
        grouped, groups = _of_classes(rows, best if labels is None else labels)
        self.mass.add(grouped, groups)
        if self.triangle is not None:
            self.triangle.add(grouped, groups)
        if labels is not None and self.reliability is not None:
            given = np.flatnonzero(labels != UNLABELLED)
            rows, labels = rows[given], labels[given]
            surprise, hits = surprises(rows, labels), best[given] == labels
            self.reliability.add(confidence[given], hits)
            self.leaders[1].add(surprise, indices[given], rows, labels)
            means = {"accuracy": hits, "negative_log_likelihood": surprise, "brier_score": brier_scores(rows, labels)}
            for name, values in means.items():
                self._sums[name] += float(values.sum())


def _of_classes(rows: FloatRows, labels: ClassIndices) -> tuple[FloatRows, ClassIndices]:
    """Return the rows whose label is one of the columns, with their labels."""
    known = labels >= 0
    return (rows, labels) if known.all() else (rows[known], labels[known])


Source = Summary | Mapping[Any, Any]
"""What the plots take: a summary, or distributions, which they summarise."""


def summarise(
    distributions: Source, labels: npt.ArrayLike | None = None, *, bins: int = 15, samples: int = 12
) -> Summary:
    """Return everything that a report shows of distributions, from one pass over their rows.

    Args:
        distributions: A Distributions (an open store is read block by block), any mapping from index to row, or a
            Summary, which is returned as it is.
        labels: One label per row in the order of ``distributions.indices``: column indices, class names or one-hot
            rows; -1, None or NaN for a row without one. By default those that the distributions carry.
        bins: The number of bins of the reliability diagram.
        samples: How many of the most uncertain samples to keep.

    Raises:
        ValueError: The given labels are no labels of these classes, or there is another number of them.

    Examples:
        >>> summary = summarise(Distributions([[0.25, 0.75], [1.0, 0.0]], labels=[1, 1]))
        >>> summary.scores["accuracy"], summary.reliability.expected_calibration_error
        (0.5, 0.625)
    """
    if isinstance(distributions, Summary):
        return distributions
    if bins < 1 or samples < 0:
        message = f"bins, samples: expected at least 1 and 0, got {bins} and {samples}"
        raise ValueError(message)
    whole = Distributions.from_mapping(distributions)
    columns, note = _columns(whole, labels)
    summary = _empty(whole, columns, note, bins, samples)
    indices = whole.indices
    for part, rows in row_blocks(whole, NUMBERS_AT_ONCE):
        given = None if columns is None else columns[part]
        summary._add(indices[part], rows, given)  # noqa: SLF001  # its own pass
        if summary.members is not None and whole.members is not None:
            summary.members.add(indices[part], rows, whole.members[part], given)
    return summary


def _empty(whole: Distributions, columns: ClassIndices | None, note: str | None, bins: int, samples: int) -> Summary:
    classes = whole.num_classes
    return Summary(
        whole,
        columns,
        note,
        entropy=Histogram.empty(float(np.log(max(classes, 2))), HISTOGRAM_BINS),
        confidence=Histogram.empty(1.0, HISTOGRAM_BINS),
        predicted=np.zeros(classes, np.int64),
        mass=SoftMass(classes),
        reliability=None if columns is None else Reliability.empty(bins),
        triangle=TriangleCounts() if classes == 3 else None,
        leaders=(Leaders(samples), Leaders(samples)),
        members=None if whole.members is None else MemberCounts.empty(whole.members.shape[1], classes, samples),
        _sums=dict.fromkeys(("accuracy", "negative_log_likelihood", "brier_score"), 0.0),
    )


def _columns(whole: Distributions, given: npt.ArrayLike | None) -> tuple[ClassIndices | None, str | None]:
    """Return the label of each row as its column, or None, and what kept labels from being used.

    Of labels that were given, not a single one may be none of the classes; those that are stored may have strays.
    """
    labels = whole.labels if given is None else label_values(given)
    if labels is None or not len(whole):
        return None, None
    if labels.ndim == 0 or len(labels) != len(whole):
        message = f"labels: expected {len(whole)}, one per row, got the shape {labels.shape}"
        raise ValueError(message)
    columns, note = class_columns(labels, whole.num_classes, whole.class_names, whole.classes)
    if given is not None and note is not None and (columns is None or (columns != OTHER).all()):
        message = f"labels: expected class indices or class names; {note}"
        raise ValueError(message)
    return columns, note
