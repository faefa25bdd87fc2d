"""Distributions: what a run returns and what every file holds."""

from __future__ import annotations  # help() shows the names of types, and not what NumPy's stand for

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.by_index import ByIndex
from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.exchange import Exchange
from probly.data_generator.indices import check_ascending, check_lengths, index_of, whole_numbers
from probly.data_generator.label_values import classes_in, key_array, label_values, names_in
from probly.data_generator.rows import FloatRows, check_members, check_rows, exact_rows, tolerance_of

if TYPE_CHECKING:
    from probly.data_generator.toolkit.samples import Indices

NORMALISED_ROWS = "normalised_rows"
"""The entry of the metadata that counts rows that were divided by their sum; there is none where no row was."""
Columns = Mapping[str, npt.NDArray[Any]]
"""Arrays by name, each with one entry per row."""


class Distributions(ByIndex, Exchange):
    """One class distribution per sample, keyed by the sample's index in its dataset.

    A read-only mapping over one array: it serves wherever a ``dict[int, list[float]]`` does, at 4 bytes a number.

    Args:
        probabilities: float32, shape ``(samples, classes)``; every row is >= 0 and sums to 1 within 1e-4. Entries that
            rounding took at most 1e-6 below 0 become 0; rows that miss 1 by more than 1e-6 are divided by their sum,
            and ``meta["normalised_rows"]`` counts them. An array that can be written to is copied, a read-only one that
            is right as it stands is shared.
        indices: int64, shape ``(samples,)``, distinct and >= 0; 0, 1, 2, ... by default.
        labels: One label per row, or None: numbers or text (bytes are text); None, NaN or -1 for a row without one.
        meta: Where the rows come from; JSON-serialisable values.
        tolerance: What the sum of a row may miss 1 by; by default 1e-4, or 1/128 for float16. A reader of a file with
            few digits allows more.
        columns: What else is kept of each row, by name: ``"members"``, float32 of shape ``(samples, members,
            classes)``, ``"logits"``, ``"features:<layer>"``, or others of any shape that begins with ``samples``.
        sample_keys: What each sample is called, text or integers, one per row, such as the names of files; or None.

    Attributes:
        probabilities: The rows in the order of their indices, not writable.
        indices: Their indices, ascending.
        labels: The labels in the same order, or None.
        meta: The metadata.
        sample_keys: The keys of the samples in the same order, or None.
        digest: The digest that the file had which the rows come from, and that was compared with them; else None.

    Raises:
        InvalidOutputError: A row is no distribution; the message names its index.
        AlignmentError: Indices repeat, or there is another number of them.
        ValueError: ``meta["class_names"]`` does not name each class.

    Examples:
        >>> distributions = Distributions([[0.25, 0.75], [1.0, 0.0]], labels=[1, 0])
        >>> distributions[1]
        array([1., 0.], dtype=float32)
        >>> np.asarray(distributions).shape
        (2, 2)
        >>> 2 in distributions
        False
    """

    digest: str | None = None

    def __init__(
        self,
        probabilities: npt.ArrayLike,
        indices: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        meta: Mapping[str, Any] | None = None,
        *,
        tolerance: float | None = None,
        columns: Mapping[str, npt.ArrayLike] | None = None,
        sample_keys: Sequence[Any] | npt.NDArray[Any] | None = None,
    ) -> None:
        given = np.asarray(probabilities)
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite and is reported with its index
            rows = np.asarray(given, dtype=np.float32)
        if rows is probabilities and rows.flags.writeable:  # or its owner could change rows that have been checked
            rows = rows.copy()
        if rows.shape == (0,):
            rows = rows.reshape(0, 0)
        if rows.ndim != 2 or rows.shape[1] < min(len(rows), 1):
            none = ", no classes" if rows.ndim == 2 else ""
            message = f"expected probabilities of shape (samples, classes), got {rows.shape}{none}"
            raise InvalidOutputError(message)
        keys = np.arange(len(rows)) if indices is None else whole_numbers(indices)
        values = None if labels is None else label_values(labels).copy()
        beside = {name: _owned(column) for name, column in (columns or {}).items()}
        named = None if sample_keys is None else key_array(sample_keys).copy()
        check_lengths(len(rows), keys, values, beside, named)
        if len(keys) > 1 and not (np.diff(keys) > 0).all():
            order = np.argsort(keys, kind="stable")
            rows, keys, values = rows[order], keys[order], None if values is None else values[order]
            beside = {name: column[order] for name, column in beside.items()}
            named = None if named is None else named[order]
        check_ascending(keys)
        checked = check_rows(rows, tolerance_of(given) if tolerance is None else tolerance)
        bad = checked.bad
        if "members" in beside and len(rows):
            beside["members"], _, of_members = check_members(beside["members"], rows.shape[1], tolerance)
            bad = bad or of_members
        if bad:
            message = f"the row of index {keys[bad.position]} is no distribution: {bad.reason}"
            raise InvalidOutputError(message)
        known = dict(meta or {})
        if checked.divided:
            before = known.get(NORMALISED_ROWS)  # a file may hold anything
            known[NORMALISED_ROWS] = checked.divided + (before if type(before) is int else 0)
        self._keep(checked.rows, keys, values, known, beside, named)
        _ = self.class_names  # names that do not fit are refused

    def _keep(
        self, rows: FloatRows, keys: Indices, values: Any, meta: Mapping[str, Any], columns: Columns, named: Any
    ) -> None:
        self.probabilities: FloatRows = _read_only(rows)
        self.indices: Indices = _read_only(keys)
        self.labels: npt.NDArray[Any] | None = None if values is None else _read_only(values)
        self.columns: Columns = {name: _read_only(column) for name, column in columns.items()}
        self._sample_keys = None if named is None else _read_only(named)
        self.meta = dict(meta)
        self._counted = len(keys) == 0 or (keys[0] == 0 and keys[-1] == len(keys) - 1)

    @classmethod
    def of_checked(
        cls,
        rows: FloatRows,
        indices: Indices,
        labels: Any,
        meta: Mapping[str, Any],
        columns: Columns | None = None,
        sample_keys: Any = None,
    ) -> Distributions:
        """Return the distributions of rows that a run has checked, in ascending order; they are not looked at again."""
        made = cls.__new__(cls)
        made._keep(rows, indices, labels, meta, columns or {}, sample_keys)  # noqa: SLF001  # its own class
        return made

    @classmethod
    def from_mapping(cls, rows: Mapping[Any, Any], meta: Mapping[str, Any] | None = None) -> Distributions:
        """Return the distributions of any mapping from index to row; a Distributions is returned as it is.

        Examples:
            >>> Distributions.from_mapping({0: [0.5, 0.5], 7: [0.1, 0.9]}).indices
            array([0, 7])
        """
        if isinstance(rows, Distributions):
            return rows
        if not isinstance(rows, Mapping):
            hint = "; generator.load_distributions(path)[0] reads a file or a store" if isinstance(rows, str) else ""
            message = f"expected a mapping from dataset index to probabilities, got {type(rows).__name__}{hint}"
            raise TypeError(message)
        widths = {len(row) for row in rows.values()}
        if len(widths) > 1:
            message = f"expected rows with the same number of classes, got {sorted(widths)}"
            raise InvalidOutputError(message)
        values = np.asarray(list(rows.values()), np.float32)
        return cls(values, [index_of(key) for key in rows], None, meta)

    @property
    def class_names(self) -> list[str] | None:
        """The name of each column, where known.

        Raises:
            ValueError: The metadata, which a file may have brought, do not name each of them.
        """
        return names_in(self.meta, self.num_classes)

    @property
    def classes(self) -> list[Any] | None:
        """What the labels of each column are, where the model says so."""
        return classes_in(self.meta, self.num_classes)

    @property
    def members(self) -> npt.NDArray[np.float32] | None:
        """The distributions that each row is the mean of, shape ``(samples, members, classes)``, if there are any."""
        return self.columns.get("members")

    def gather_column(self, name: str, indices: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return what is kept beside the rows of many dataset indices at once, as a new array.

        Args:
            name: One of ``columns``.
            indices: Dataset indices in any order; one may stand several times.

        Raises:
            KeyError: There is no such column, or one of them has no distribution.

        Examples:
            >>> Distributions([[0.5, 0.5]], [7], columns={"logits": [[1.5, 1.5]]}).gather_column("logits", [7, 7])
            array([[1.5, 1.5],
                   [1.5, 1.5]])
        """
        if name not in self.columns:
            message = f"there is no column {name!r}; there are {', '.join(self.columns) or 'none'}"
            raise KeyError(message)
        wanted = whole_numbers(indices).reshape(-1)
        self._positions(wanted)  # raises for an index that has no row
        return np.asarray(self.columns[name][np.searchsorted(self.indices, wanted)])  # a store may have gaps

    def head(self, count: int) -> Distributions:
        """Return the first rows with their labels and all of the metadata; a store reads no more of itself than that.

        Examples:
            >>> Distributions([[0.25, 0.75], [1.0, 0.0]], [3, 8]).head(1)
            Distributions(1 samples x 2 classes)
        """
        return self._part(slice(0, count))

    def select(self, indices: npt.ArrayLike) -> Distributions:
        """Return the rows of some dataset indices with all that belongs to them, and all of the metadata.

        They keep their indices, so a row is still that of the same sample, and are in ascending order whatever the
        order they are asked for in.

        Args:
            indices: Integers, each once: dataset indices, not places. ``d.indices[mask]`` makes them of a mask.

        Raises:
            KeyError: One of them has no distribution.
            AlignmentError: One stands twice, or they are no integers.

        Examples:
            >>> distributions = Distributions([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]], [3, 8, 9], ["a", "b", "a"])
            >>> distributions.select(distributions.indices[distributions.labels == "a"]).indices
            array([3, 9])
        """
        wanted = np.sort(whole_numbers(indices).reshape(-1))
        counted = wanted[wanted >= 0]  # gather says of the others that they have no row
        if len(counted):
            check_ascending(counted)
        places = np.searchsorted(self.indices, wanted)
        return self._part(places, wanted)

    def _part(self, places: Any, indices: Indices | None = None) -> Distributions:
        """Return what stands at some places, ascending; ``indices`` are theirs, and looked up."""
        keys = self.indices[places] if indices is None else indices
        rows = self.gather(keys)  # raises for an index that has no row
        columns = {name: np.asarray(column[places]) for name, column in self.columns.items()}
        labels, named = self.labels, self.sample_keys
        labels, named = (None if values is None else values[places] for values in (labels, named))
        return Distributions.of_checked(rows, keys, labels, self.meta, columns, named)

    def astype64(self) -> npt.NDArray[np.float64]:
        """Return the rows in float64, each with the sum 1 exactly, in whatever order it is added up.

        For libraries that insist, as NumPy's ``multinomial`` does. An entry moves by less than 1e-7, as float32 sums
        do, and none but 0 becomes 0.

        Returns:
            float64, shape ``(samples, classes)``, in the order of ``indices``; a new array.

        Examples:
            >>> rows = Distributions([[0.1, 0.2, 0.7]]).astype64()
            >>> rows.sum(axis=1).tolist(), rows[:, ::-1].sum(axis=1).tolist()
            ([1.0], [1.0])
        """
        found = np.empty((len(self), self.num_classes), np.float64)
        for part, rows in row_blocks(self, 2**20):
            found[part] = exact_rows(rows)
        return found

    def __eq__(self, other: object) -> bool:
        """Return whether another mapping has the same indices and exactly the same rows; metadata does not count."""
        if not isinstance(other, Mapping):
            return NotImplemented
        try:
            theirs = Distributions.from_mapping(other)
        except (TypeError, ValueError):
            return False
        return np.array_equal(self.indices, theirs.indices) and np.array_equal(self.probabilities, theirs.probabilities)

    __hash__ = None  # type: ignore[assignment]  # equal by content, like a dict

    def __repr__(self) -> str:
        """Return size and origin in one line."""
        origin = f", backend={self.meta['backend']!r}" if "backend" in self.meta else ""
        return f"Distributions({len(self)} samples x {self.num_classes} classes{origin})"


def _owned(column: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return an array that nobody else writes to, copied only if somebody could."""
    array = np.asarray(column)
    return array.copy() if array is column and array.flags.writeable else array


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def blocks(distributions: Distributions, numbers: int) -> Iterator[slice]:
    """Yield the slices that cut all rows into blocks of about so many numbers."""
    step = max(1, numbers // max(1, distributions.num_classes))
    for start in range(0, len(distributions), step):
        yield slice(start, start + step)


def row_blocks(distributions: Distributions, numbers: int) -> Iterator[tuple[slice, FloatRows]]:
    """Yield each of ``blocks`` with its rows; those of a store are read only now."""
    for part in blocks(distributions, numbers):
        yield part, distributions.gather(distributions.indices[part])
