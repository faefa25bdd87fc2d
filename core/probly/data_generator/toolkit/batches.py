"""What counts as a dataset, and how it is cut into batches."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.loaders import length_of_loader, loader_batches
from probly.data_generator.toolkit.nests import collate, collate_labels, columns, count_rows, leaves, take_rows
from probly.data_generator.toolkit.order import check_order
from probly.data_generator.toolkit.parts import Getter, split_sample
from probly.data_generator.toolkit.pipelines import is_graph, source_rows
from probly.data_generator.toolkit.reading import Reader, check_is_sample
from probly.data_generator.toolkit.recording import is_loader
from probly.data_generator.toolkit.samples import (
    Batch,
    Batches,
    Indices,
    announced_length,
    check_batch_size,
    checked_indices,
    fetch,
    label_columns,
    rows_before,
)


def iterate_batches(  # the arguments of the hook, less the model
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None = None,
    index_getter: Getter | None = None,
    batched: bool | None = None,
    start: int = 0,
    stop: int | None = None,
    label_getter: Getter | None = None,
    *,
    pairs: tuple[type, ...] = (tuple,),
    stack: Callable[[Sequence[Any]], Any] = collate,
) -> Batches:
    """Iterate over any dataset or loader in NumPy batches; backends use it for what their framework does not know.

    Args:
        dataset: Arrays (one, or a tuple or mapping of columns with equal length), a sequence of samples, an iterable of
            samples, or a loader: an object with ``batch_sampler`` and ``dataset``.
        batch_size: Rows per batch.
        input_getter: See the hook.
        index_getter: See the hook.
        batched: See the hook.
        start: See the hook; arrays and sequences begin there.
        stop: See the hook.
        label_getter: See the hook.
        pairs: The types of a sample or batch that hold an input and a label.
        stack: Makes a batch of a sequence of inputs.

    Raises:
        TypeError: ``dataset`` is none of these.
        AlignmentError: Its order is not defined, or its items may as well be batches.

    Examples:
        >>> [batch.indices.tolist() for batch in iterate_batches(np.zeros((5, 2)), batch_size=2)]
        [[0, 1], [2, 3], [4]]
        >>> [batch.indices.tolist() for batch in iterate_batches(np.zeros((5, 2)), batch_size=2, start=2, stop=3)]
        [[2]]
    """
    batch_size = check_batch_size(batch_size)
    reader = Reader(input_getter, label_getter, index_getter, pairs)
    if batched or (batched is None and is_loader(dataset)):
        length = length_of_loader(dataset)
        batches = loader_batches(dataset, input_getter, index_getter, pairs, stop, label_getter)
        return Batches(batches, length)
    arrays = columns(dataset)
    if arrays is not None and reader.is_plain:
        return array_batches(arrays, batch_size, start, stop)
    if index_getter is not None:
        start = 0  # the place of a sample does not say which row it is
    picker = _SamplePicker(reader, stack, stop, type(dataset).__name__ if batched is None and arrays is None else None)
    if arrays is not None:
        rows = count_rows(arrays)
        samples = (take_rows(arrays, row) for row in range(start, picker.end(rows)))
        return Batches(_pick(samples, batch_size, picker, start), rows)
    length = source_rows(dataset, batched=False) if is_graph(dataset) else announced_length(dataset)
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and not isinstance(dataset, Mapping | str):
        return Batches(_map_batches(dataset, batch_size, picker, start), length)
    _check_iterable(dataset)
    check_order(dataset, index_getter, batched=batched)
    iterator = iter(dataset)
    return Batches(_pick(itertools.islice(iterator, picker.end(None)), batch_size, picker, source=iterator), length)


def _check_iterable(dataset: Any) -> None:
    kind = type(dataset).__name__
    if isinstance(dataset, set | frozenset):
        message = f"the order of a {kind} is not defined, so its rows have no index; pass a list"
        raise AlignmentError(message)
    if isinstance(dataset, Mapping | str | bytes) or not hasattr(dataset, "__iter__"):
        # Without __len__ the end would be the first IndexError, and some array libraries clamp an index instead.
        missing = "; give it __len__" if hasattr(dataset, "__getitem__") and not isinstance(dataset, Mapping) else ""
        message = f"expected arrays, a sequence of samples, an iterable or a loader as dataset, got {kind}{missing}"
        raise TypeError(message)


def array_batches(arrays: Any, batch_size: int, start: int = 0, stop: int | None = None) -> Batches:
    """Cut arrays of equal length into batches; no sample is ever fetched alone.

    Args:
        arrays: Inputs, or a tuple of inputs and labels.
        batch_size: Rows per batch.
        start: The first row.
        stop: The first row that is not needed any more, or None.
    """
    rows = count_rows(arrays)
    inputs, labels = split_sample(arrays)
    return Batches(_slices(inputs, labels, range(start, rows_before(stop, rows), batch_size)), rows)


def _slices(inputs: Any, labels: Any, starts: range) -> Iterator[Batch]:
    for first in starts:
        last = min(first + starts.step, starts.stop)
        part = slice(first, last)
        yield Batch(
            np.arange(first, last),
            take_rows(inputs, part),
            label_columns(None if labels is None else take_rows(labels, part)),
        )


class _SamplePicker:
    """Makes batches of samples.

    Args:
        reader: Tells inputs from labels.
        stack: Makes a batch of a sequence of inputs.
        stop: The first row that is not needed any more, or None.
        kind: The type of the dataset, if its first sample is to be asked whether it is a batch.
    """

    def __init__(
        self, reader: Reader, stack: Callable[[Sequence[Any]], Any], stop: int | None, kind: str | None
    ) -> None:
        self.reader, self.stack, self.stop, self.kind = reader, stack, stop, kind

    def end(self, rows: int | None) -> Any:
        """Return the place of the first sample that is not to be read; with index_getter, all have to be."""
        stop = self.stop if self.reader.index_getter is None else None
        return stop if rows is None else rows_before(stop, rows)

    def batch(self, samples: Sequence[Any], start: int) -> Batch:
        given = None
        if self.reader.index_getter is None:
            indices: Any = np.arange(start, start + len(samples))
        else:
            given = [self.reader.index_getter(sample) for sample in samples]
            indices = checked_indices(given, len(samples))
            if self.stop is not None and (indices >= self.stop).any():
                kept = np.flatnonzero(indices < self.stop)
                indices = indices[kept]
                samples, given = [samples[place] for place in kept.tolist()], [given[place] for place in kept.tolist()]
        if not samples:
            return Batch(indices, samples)
        inputs, labels = self.reader.split(samples, given)
        if self.kind is not None:
            check_is_sample(inputs[0], labels[0], self.kind)
            self.kind = None
        columns = label_columns(None if all(label is None for label in labels) else collate_labels(labels))
        return Batch(indices, self._stacked(inputs, indices), columns)

    def _stacked(self, inputs: Sequence[Any], indices: Indices) -> Any:
        try:
            return self.stack(inputs)
        except Exception as error:
            if any(hasattr(leaf, "getbands") for leaf in leaves(list(inputs))):  # pictures, which have no shape yet
                raise
            shapes = sorted({tuple(value.shape) for value in inputs if hasattr(value, "shape")})
            seen = f" of the shapes {', '.join(map(str, shapes))}" if len(shapes) > 1 else ""
            error.add_note(
                f"the samples {indices[0]} to {indices[-1]}{seen} do not stack to a batch; bring them to one shape in "
                "the dataset, set batch_size=1, or batched=True if they are batches already"
            )
            raise


def _pick(
    samples: Iterator[Any], batch_size: int, picker: _SamplePicker, start: int = 0, source: Any = None
) -> Iterator[Batch]:
    try:
        while taken := list(itertools.islice(samples, batch_size)):
            yield picker.batch(taken, start)
            start += len(taken)
    finally:
        if hasattr(source, "close"):  # a generator that is not read to its end
            source.close()


def _map_batches(dataset: Any, batch_size: int, picker: _SamplePicker, first: int) -> Iterator[Batch]:
    rows = picker.end(len(dataset))
    for start in range(first, rows, batch_size):
        indices = range(start, min(start + batch_size, rows))
        yield picker.batch(fetch(dataset, indices), start)
