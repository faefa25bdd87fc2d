"""Which samples to look at, or to label, next."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import AlignmentError
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.shared import optional_library
from probly.data_generator.toolkit.samples import Indices
from probly_data_generator_evaluation.blocks import SMALLEST, Floats, Rows, each_block, entropies, members_of, rows_of
from probly_data_generator_evaluation.decompose import decompose
from probly_data_generator_evaluation.targets import label_columns


def _margins(rows: Floats) -> Floats:
    if rows.shape[1] == 1:
        return np.zeros(len(rows))
    two = np.partition(rows, -2, axis=1)[:, -2:]
    return 1.0 - (two[:, 1] - two[:, 0])


ROW_SCORES: dict[str, Callable[[Floats], Floats]] = {
    "entropy": entropies,
    "margin": _margins,
    "confidence": lambda rows: 1.0 - rows.max(axis=1),
}
MEMBER_SCORES = {
    "mutual_information": "epistemic",
    "aleatoric": "aleatoric",
    "disagreement": "disagreement",
    "variance": "epistemic_variance",
}
NAMES = (*ROW_SCORES, "label", *MEMBER_SCORES)


@dataclass(frozen=True)
class Ranking:
    """Samples in the order in which to look at them; see ``rank``.

    Attributes:
        by: What they are ordered by.
        indices: int64, shape ``(samples,)``: the dataset index of each.
        scores: float64, shape ``(samples,)``, descending.
        keys: The key of each sample, or None.
        labels: The label of each sample, or None.
    """

    by: str
    indices: Indices
    scores: Floats
    keys: npt.NDArray[Any] | None
    labels: npt.NDArray[Any] | None

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.indices)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each sample as a dictionary of plain values: index, key, label and score."""
        columns = {name: values.tolist() for name, values in self.columns().items()}
        for values in zip(*columns.values(), strict=True):
            yield dict(zip(columns, values, strict=True))

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the table by columns, for pandas and others: index, key and label where known, and score."""
        found: dict[str, npt.NDArray[Any] | None] = {
            "index": self.indices,
            "key": self.keys,
            "label": self.labels,
            "score": self.scores,
        }
        return {name: values for name, values in found.items() if values is not None}

    def head(self, count: int) -> "Ranking":
        """Return the first samples."""
        keys, labels = (None if values is None else values[:count] for values in (self.keys, self.labels))
        return Ranking(self.by, self.indices[:count], self.scores[:count], keys, labels)

    def save(self, path: str | Path) -> None:
        """Write the table, whole or not at all: CSV or Parquet, by the suffix.

        Args:
            path: Ends in ``.csv``, or in ``.parquet``, which needs pyarrow.

        Raises:
            ImportError: pyarrow is not installed; the message says what to install.
            ValueError: The suffix is another one.
        """
        place = Path(path)
        columns = {name: values.tolist() for name, values in self.columns().items()}
        if place.suffix == ".csv":
            text = io.StringIO(newline="")
            writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
            with replacing(place) as file:
                file.write(text.getvalue().encode())
        elif place.suffix == ".parquet":
            arrow = optional_library("pyarrow", "parquet")
            parquet = optional_library("pyarrow.parquet", "parquet")
            with replacing(place) as file:
                parquet.write_table(arrow.table(columns), file)
        else:
            message = f"path: expected a file ending in .csv or .parquet, got {place.name!r}"
            raise ValueError(message)


def rank(
    distributions: Any,
    by: str = "entropy",
    *,
    count: int | None = None,
    labels: npt.ArrayLike | None = None,
    keys: npt.ArrayLike | None = None,
) -> Ranking:
    r"""Return the samples in the order in which to look at them, or to label them; those of the largest score first.

    The scores of a row ``p``, whose largest entries are ``p_1`` and ``p_2``, or of the members of a sample:

    - ``"entropy"``: ``-sum p log p`` in nats; ``"margin"``: ``1 - (p_1 - p_2)``; ``"confidence"``: ``1 - p_1`` (Settles
      2009, Active Learning Literature Survey, section 3.1): what the model is unsure of;
    - ``"label"``: ``-log p(label)`` in nats, where the label is least expected, which may be wrong (the self-confidence
      of Northcutt, Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068); a probability of 0 counts as the smallest
      float32, and samples without a label are left out;
    - ``"mutual_information"`` (BALD: Houlsby et al. 2011, https://arxiv.org/abs/1112.5745), ``"variance"`` and
      ``"disagreement"``: what another label could teach the model; ``"aleatoric"``: what it could not; all as in
      ``decompose``, which needs members.

    Of equal scores the sample with the lower index comes first.

    Args:
        distributions: Distributions, a mapping from index to row, or floats of shape ``(samples, classes)``; where
            members are needed, an object with ``members``, or floats of shape ``(samples, members, classes)``.
        by: The score.
        count: How many samples to return; by default all.
        labels: One per row; by default those of the distributions.
        keys: One per row, such as file names; by default those of a store.

    Raises:
        AlignmentError: There is not one label or key per row.
        TypeError: The score needs members, and there are none.
        ValueError: There is no such score, or it needs labels, and there are none.

    Examples:
        >>> found = rank({3: [0.5, 0.5], 7: [0.9, 0.1], 8: [0.6, 0.4]}, by="margin", count=2)
        >>> found.indices, found.scores.round(6)
        (array([3, 8]), array([1. , 0.8]))
        >>> next(iter(rank({3: [0.5, 0.5]}, keys=["a.png"])))["key"]
        'a.png'
    """
    if by not in NAMES:
        message = f"by: expected one of {', '.join(map(repr, NAMES))}, got {by!r}"
        raise ValueError(message)
    if by in MEMBER_SCORES:
        source = members_of(distributions)
        scores = getattr(decompose(source), MEMBER_SCORES[by])
        places = np.arange(len(source))
    else:
        source = rows_of(distributions)
        scores, places = _row_scores(source, by, labels)
    order = np.lexsort((source.indices[places], -scores))[:count]
    chosen = places[order]
    beside = {
        "label": _beside(distributions, labels, "labels", len(source)),
        "key": _beside(distributions, keys, "sample_keys", len(source)),
    }
    taken = {name: None if values is None else values[chosen] for name, values in beside.items()}
    return Ranking(by, source.indices[chosen], scores[order], taken["key"], taken["label"])


def _row_scores(rows: Rows, by: str, labels: Any) -> tuple[Floats, Indices]:
    """Return the scores of rows, and the places of the rows that have one."""
    columns = label_columns(rows, labels) if by == "label" else None
    places = np.arange(len(rows)) if columns is None else np.flatnonzero(columns >= 0)
    source = rows if columns is None else rows.take(places)
    found = np.empty(len(source))

    def fill(part: slice) -> None:
        block = source.read(part)
        if columns is None:
            found[part] = ROW_SCORES[by](block)
        else:
            own = block[np.arange(len(block)), columns[places[part]]]
            found[part] = -np.log(np.maximum(own, SMALLEST))

    for _ in each_block(fill, len(source), source.classes):
        pass
    return found, places


def _beside(distributions: Any, given: Any, attribute: str, rows: int) -> npt.NDArray[Any] | None:
    """Return what stands beside the rows: what was given, or what the distributions have."""
    own = isinstance(distributions, Distributions) or hasattr(distributions, "members")
    values = given if given is not None else getattr(distributions, attribute, None) if own else None
    if values is None:
        return None
    array = np.asarray(values)
    if array.shape[:1] != (rows,):
        message = f"{attribute}: expected one per row ({rows}), got the shape {array.shape}"
        raise AlignmentError(message)
    return array
