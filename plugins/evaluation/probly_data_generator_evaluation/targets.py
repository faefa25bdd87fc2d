"""What rows are held against: a label per sample, or a distribution."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import AlignmentError
from probly.data_generator.labels import ClassIndices, class_columns
from probly_data_generator_evaluation.blocks import Floats, Rows, paired, rows_of


def label_columns(rows: Rows, labels: npt.ArrayLike | None) -> ClassIndices:
    """Return the column of each row's label; -1 for a row without one.

    Args:
        rows: The rows.
        labels: One per row, in the order of the indices: class positions, or names where the rows know theirs; by
            default those of the distributions.

    Raises:
        AlignmentError: There is not one per row.
        ValueError: There are none, or none that is one of the classes.

    Examples:
        >>> label_columns(rows_of({0: [0.9, 0.1], 1: [0.2, 0.8]}), [0, 1])
        array([0, 1])
    """
    held = rows.source if isinstance(rows.source, Distributions) else None
    given = held.labels if labels is None and held is not None else labels
    if given is None:
        message = "labels: expected one per row, got none; pass labels="
        raise ValueError(message)
    if len(np.asarray(given, dtype=object)) != len(rows):
        message = f"labels: expected one per row ({len(rows)}), got {len(np.asarray(given, dtype=object))}"
        raise AlignmentError(message)
    names = None if rows.names is None else list(rows.names)
    found = class_columns(given, rows.classes, names, None if held is None else held.classes)
    if found.columns is None:
        message = f"labels: {found.note or 'no row has one'}"
        raise ValueError(message)
    return found.columns


class Targets:
    """The targets of rows: their labels, or a distribution for each.

    Args:
        rows: The rows.
        targets: Labels, as ``label_columns`` takes them; or Distributions, a mapping, HumanVotes, or floats of shape
            ``(samples, classes)``.

    Attributes:
        known: The places of the rows that have one, or None for all of them.
    """

    def __init__(self, rows: Rows, targets: Any) -> None:
        self._soft: Rows | None = None
        self._labels: ClassIndices | None = None
        self.known: npt.NDArray[np.int64] | None = None
        if _are_soft(targets):
            self._soft = paired(rows, rows_of(targets, "targets"), "targets")
            return
        self._labels = label_columns(rows, targets)
        if (self._labels < 0).any():
            self.known = np.flatnonzero(self._labels >= 0)
            self._labels = self._labels[self.known]

    def products(self, part: slice, logs: Floats) -> Floats:
        """Return ``sum_c y_c z_c`` of each row of a block of those that have a target."""
        if self._labels is not None:
            return logs[np.arange(len(logs)), self._labels[part]]
        assert self._soft is not None
        found: Floats = np.einsum("nk,nk->n", self._soft.read(part), logs)
        return found


def _are_soft(targets: Any) -> bool:
    if isinstance(targets, Rows | Distributions) or hasattr(targets, "as_rows") or hasattr(targets, "keys"):
        return True
    array = targets if hasattr(targets, "shape") else None if targets is None else np.asarray(targets)
    return array is not None and len(array.shape) == 2 and np.dtype(array.dtype).kind == "f" and array.shape[1] > 1
