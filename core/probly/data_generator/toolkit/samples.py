"""Batches and the dataset indices of their rows."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.nests import columns, common_rows, is_array, take_rows

Indices = npt.NDArray[np.int64]

LABELS: Final = "labels"
"""The name of the column that holds labels."""
NO_COLUMNS: Final[Mapping[str, Any]] = {}


class Batch(NamedTuple):
    """The rows of one step of a run.

    Attributes:
        indices: int64, shape ``(N,)``: the dataset index of each row.
        inputs: What the model gets: a nest of arrays with ``N`` rows, or a list of ``N`` samples that do not stack.
        columns: What else belongs to each row, by name: arrays with ``N`` rows. ``"labels"`` is one of them.

    Examples:
        >>> batch = Batch(np.arange(2), np.zeros((2, 3)), {"labels": np.array([1, 0])})
        >>> batch.labels
        array([1, 0])
    """

    indices: Indices
    inputs: Any
    columns: Mapping[str, Any] = NO_COLUMNS

    @property
    def labels(self) -> Any:
        """The labels of the rows, or None."""
        return self.columns.get(LABELS)


def label_columns(labels: Any) -> Mapping[str, Any]:
    """Return the columns of a batch that has labels and nothing else beside its inputs; none of them for None."""
    return NO_COLUMNS if labels is None else {LABELS: labels}


class Batches(Iterator[Batch]):
    """An iterator over batches that also knows how many rows its dataset announces.

    Args:
        batches: The batches.
        length: The announced number of rows, or None; the generator reports a difference.
    """

    def __init__(self, batches: Iterator[Batch], length: int | None = None) -> None:
        self.batches = batches
        self.length = length

    def __next__(self) -> Batch:
        """Return the next batch."""
        return next(self.batches)

    def close(self) -> None:
        """Stop early, and with it the workers of a loader."""
        close = getattr(self.batches, "close", None)
        if close is not None:
            close()


def announced_length(dataset: Any) -> int | None:
    """Return the number of rows of a dataset, or None where it does not tell."""
    arrays = columns(dataset)
    if arrays is not None:
        return common_rows(arrays)
    try:
        return len(dataset)
    except (TypeError, NotImplementedError):  # what datasets of unknown length answer
        return None


def check_batch_size(batch_size: int) -> int:
    """Return the batch size.

    Raises:
        ValueError: It is not an integer of at least 1.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
        message = f"batch_size: expected an integer of at least 1, got {batch_size!r}"
        raise ValueError(message)
    return int(batch_size)


def spans(rows: int, start: int, stop: int | None, size: int) -> Iterator[range]:
    """Yield the rows from ``start`` up to ``stop``, of so many that there are, in spans of one size.

    Examples:
        >>> list(spans(9, 2, None, 4)), list(spans(9, 0, 5, 4))
        ([range(2, 6), range(6, 9)], [range(0, 4), range(4, 5)])
    """
    wanted = range(rows)[start:stop]
    return (wanted[at : at + size] for at in range(0, len(wanted), size))


def fetch(dataset: Any, indices: Iterable[int]) -> list[Any]:
    """Return the samples of these indices, by one ``__getitems__`` where the dataset has it.

    Args:
        dataset: A sequence of samples, or arrays as ``nests.columns`` returns them.
        indices: Which.

    Raises:
        AlignmentError: ``__getitems__`` returned another number of samples.
    """
    wanted = [int(index) for index in indices]
    if isinstance(dataset, tuple | Mapping) or is_array(dataset):
        return [take_rows(dataset, index) for index in wanted]
    if hasattr(dataset, "__getitems__"):
        samples = list(dataset.__getitems__(wanted))
        if len(samples) != len(wanted):
            message = f"{type(dataset).__name__}.__getitems__: expected {len(wanted)} samples, got {len(samples)}"
            raise AlignmentError(message)
        return samples
    samples = []
    for index in wanted:
        try:
            samples.append(dataset[index])
        except Exception as error:
            error.add_note(f"raised by the dataset's sample {index}")
            raise
    return samples


def checked_indices(indices: Any, rows: int, where: str = "index_getter") -> Indices:
    """Return indices as an int64 array of shape ``(rows,)``.

    Raises:
        AlignmentError: There are more or fewer, or they are not integers of at least 0.
    """
    array = np.asarray(indices)
    if array.shape != (rows,):
        message = (
            f"{where}: expected {rows} indices, one per row, got the shape {array.shape}; "
            "a collate_fn must neither drop nor add samples"
        )
        raise AlignmentError(message)
    if rows and (array.dtype.kind not in "iu" or array.min() < 0):
        message = f"{where}: expected integers of at least 0 as indices, got {array[:5].tolist()}"
        raise AlignmentError(message)
    return array.astype(np.int64)  # a copy: a loader may use its memory again
