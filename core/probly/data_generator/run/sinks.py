"""Where the rows of a run go: the protocol, and memory, which is one of two that the project has."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import NORMALISED_ROWS, Distributions
from probly.data_generator.errors import AlignmentError
from probly.data_generator.label_values import are_text, join_labels, label_values
from probly.data_generator.rows import FloatRows
from probly.data_generator.toolkit.samples import LABELS, Indices

Shape = tuple[int, ...]
MOST_ROWS_IN_ADVANCE = 2**24
NORMALISED = "normalised"
"""The column, of batches that have some, that marks the rows that were divided by their sum."""


class Stored(NamedTuple):
    """What a sink has of a batch.

    Attributes:
        positions: Which rows of the batch, ascending.
        rows: float32, shape ``(len(positions), classes)``.
        tolerance: How far each entry may be from the one that was written, because of how it is kept; one number, or
            an array of the shape of ``rows``.
    """

    positions: Indices
    rows: FloatRows
    tolerance: Any


class Sink(Protocol):
    """What takes the rows of one run; it knows nothing of the run, and the run nothing of it but this.

    Attributes:
        first_needed: The first row that it lacks: a dataset need not read those before.
        first_stored: The first row that it has from an earlier run, or None.
        decided: The output mode that an earlier run on it decided for ``"auto"``, or None.
        safe_rows: The rows that no crash can take away, for the progress.
    """

    @property
    def first_needed(self) -> int:
        """The first row that it lacks."""

    @property
    def first_stored(self) -> int | None:
        """The first row that it has from an earlier run."""

    @property
    def decided(self) -> str | None:
        """The output mode that an earlier run decided."""

    @property
    def safe_rows(self) -> int:
        """The rows that no crash can take away."""

    def needs(self, indices: Indices) -> bool:
        """Return whether a row of a batch is lacking; called for every batch, in order, before it is computed.

        Raises:
            AlignmentError: The batch cannot be taken in this order.
        """

    def stored(self, indices: Indices) -> Stored | None:
        """Return what it has of a batch from an earlier run, or None; the probe compares it with the model's rows now.

        Called before anything else, where ``first_stored`` says that there is something.

        Args:
            indices: The dataset indices of the batch, in any order.
        """

    def begin(
        self, classes: int, meta: Mapping[str, Any], mode: str, length: int | None, shapes: Mapping[str, Shape]
    ) -> None:
        """Prepare for rows of so many classes; called once, before the first rows, or before ``finish`` without any.

        Args:
            classes: The number of columns.
            meta: The metadata of the run.
            mode: The output mode, decided.
            length: The number of rows that the dataset announces, or None.
            shapes: The columns that are kept, float32, with their shape per row.
        """

    def write(self, indices: Indices, rows: FloatRows, columns: Mapping[str, Any]) -> None:
        """Take the checked rows of a batch; their memory is used again after the call.

        Args:
            indices: int64, shape ``(N,)``.
            rows: float32, shape ``(N, classes)``.
            columns: What else belongs to each row, by name: those of ``shapes``; ``"labels"``, an array with ``N``
                rows, or something else that it may leave out; others that it leaves out.
        """

    def finish(self) -> Distributions:
        """Return the distributions of all rows."""


def usable_labels(labels: Any, rows: int) -> Any:
    """Return the labels of a batch as an array; None for those that serve no metric, such as boxes and dicts.

    Examples:
        >>> usable_labels(np.array(["cat", None], object), 2), usable_labels([{"box": 1}], 1)
        (array(['cat', None], dtype=object), None)
    """
    if not isinstance(labels, list) and not (isinstance(labels, np.ndarray) and labels.ndim):
        return None
    if len(labels) != rows:
        return None
    values = label_values(labels)
    return values if values.dtype.kind != "O" or are_text(values) else None


class MemorySink:
    """Arrays that are filled in order of arrival and sorted once at the end.

    Args:
        keyed: Whether the indices come from the user's index_getter, which must not repeat one.
        sample_keys: What each sample of the dataset is called, or None.
    """

    first_needed = 0
    first_stored: int | None = None
    decided: str | None = None
    safe_rows = 0

    def __init__(self, *, keyed: bool = False, sample_keys: npt.NDArray[Any] | None = None) -> None:
        self.keyed, self.sample_keys = keyed, sample_keys
        self.counted = keyed  # whether the number of samples is known; indices of the user's own may leave some out
        self.count = 0
        self.meta: Mapping[str, Any] = {}
        self.rows: FloatRows = np.empty((0, 0), np.float32)
        self.indices: Indices = np.empty(0, np.int64)
        self.labels: list[Any] | None = []  # None from the first batch on whose labels are of no use
        self.normalised: list[Indices] = []
        self.columns: dict[str, npt.NDArray[np.float32]] = {}

    def stored(self, indices: Indices) -> Stored | None:  # noqa: ARG002
        """Return None: it begins anew with each run."""
        return None

    def needs(self, indices: Indices) -> bool:  # noqa: ARG002
        """Return True: it has none before the run."""
        return True

    def begin(
        self,
        classes: int,
        meta: Mapping[str, Any],
        mode: str,  # noqa: ARG002
        length: int | None,
        shapes: Mapping[str, Shape],
    ) -> None:
        """Make room. A dataset may announce any length; a wrong one costs time, never rows."""
        self.meta = meta
        self._check_keys(None if self.keyed else length)
        self.counted = self.counted or length is not None
        capacity = min(length or 0, MOST_ROWS_IN_ADVANCE)
        try:
            self._make_room(capacity, {"": (classes,), **shapes})
        except MemoryError:  # the rows that there are may well have room
            self._make_room(0, {"": (classes,), **shapes})

    def _check_keys(self, samples: int | None) -> None:
        if self.sample_keys is not None and samples not in (None, len(self.sample_keys)):
            message = f"keys: expected one per sample, got {len(self.sample_keys)} for a dataset of {samples}"
            raise AlignmentError(message)

    def _make_room(self, capacity: int, shapes: Mapping[str, Shape]) -> None:
        self.columns = {name: np.empty((capacity, *shape), np.float32) for name, shape in shapes.items()}
        self.rows = self.columns.pop("")
        self.indices = np.empty(capacity, np.int64)

    def write(self, indices: Indices, rows: FloatRows, columns: Mapping[str, Any]) -> None:
        """Append the rows of a batch."""
        if self.sample_keys is not None and len(indices) and indices.max() >= len(self.sample_keys):
            self._check_keys(int(indices.max()) + 1)
        stop = self.count + len(rows)
        if stop > len(self.rows):
            self._grow(stop)
        self.rows[self.count : stop] = rows
        self.indices[self.count : stop] = indices
        for name, column in self.columns.items():
            column[self.count : stop] = columns[name]
        self.count = stop
        if NORMALISED in columns:
            self.normalised.append(indices[columns[NORMALISED]])
        self._add_labels(columns.get(LABELS), len(rows))

    def _grow(self, needed: int) -> None:
        capacity = max(needed, 2 * len(self.rows))
        self.rows = self._grown(self.rows, capacity)
        self.indices = self._grown(self.indices, capacity)
        self.columns = {name: self._grown(column, capacity) for name, column in self.columns.items()}

    def _grown(self, array: npt.NDArray[Any], capacity: int) -> npt.NDArray[Any]:
        grown = np.empty((capacity, *array.shape[1:]), array.dtype)
        grown[: self.count] = array[: self.count]
        return grown

    def _add_labels(self, labels: Any, rows: int) -> None:
        if self.labels is None:
            return
        usable = usable_labels(labels, rows)
        if labels is not None and usable is None:
            self.labels = None
        else:
            self.labels.append(rows if usable is None else usable)

    def finish(self) -> Distributions:
        """Return the distributions of all rows, in the order of their indices."""
        rows, indices = self.rows[: self.count], self.indices[: self.count]
        labels = join_labels(self.labels or [])
        columns = {name: column[: self.count] for name, column in self.columns.items()}
        if self.count > 1 and not (indices[1:] > indices[:-1]).all():
            indices, first = np.unique(indices, return_index=True)
            if len(first) < self.count:
                self._check_repeated()
                message = (
                    f"the sampler repeated {self.count - len(first)} of {self.count} rows; kept the first row per index"
                )
                warnings.warn(message, stacklevel=5)
            rows, labels = rows[first], None if labels is None else labels[first]
            columns = {name: column[first] for name, column in columns.items()}
        if not self.counted:
            self._check_keys(int(indices[-1]) + 1 if self.count else 0)
        named = None if self.sample_keys is None else self.sample_keys[indices]
        counted = {NORMALISED_ROWS: len(np.unique(np.concatenate(self.normalised)))} if self.normalised else {}
        return Distributions.of_checked(rows, indices, labels, {**self.meta, **counted}, columns, named)

    def _check_repeated(self) -> None:
        """Refuse an index that the user's own function gave twice; a sampler may repeat samples."""
        if self.keyed:
            values, counts = np.unique(self.indices[: self.count], return_counts=True)
            message = (
                f"index_getter returned the index {values[counts > 1][0]} for {counts[counts > 1][0]} samples; "
                "expected another index for each"
            )
            raise AlignmentError(message)
