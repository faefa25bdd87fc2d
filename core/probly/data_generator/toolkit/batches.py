"""What counts as a dataset, and how it is cut into batches."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.loaders import is_loader, loader_batches
from probly.data_generator.toolkit.nests import collate, collate_labels, columns, count_rows, take_rows
from probly.data_generator.toolkit.samples import (
    Batch,
    Batches,
    Getter,
    Indices,
    announced_length,
    check_batch_size,
    checked_indices,
    fetch,
    label_columns,
    rows_before,
    split_sample,
)


def iterate_batches(  # the arguments of the hook, less the model
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None = None,
    index_getter: Getter | None = None,
    batched: bool | None = None,
    start: int = 0,
    stop: int | None = None,
    *,
    pairs: tuple[type, ...] = (tuple,),
    stack: Callable[[Sequence[Any]], Any] = collate,
) -> Batches:
    """Iterate over any dataset or loader in NumPy batches; backends use it for what their framework does not know.

    Args:
        dataset: Arrays (one, or a tuple or mapping of arrays with equal length), a sequence of samples, an iterable of
            samples, or a loader: an object with ``batch_sampler`` and ``dataset``.
        batch_size: Rows per batch.
        input_getter: See the hook.
        index_getter: See the hook.
        batched: See the hook.
        start: See the hook; arrays and sequences begin there.
        stop: See the hook.
        pairs: The types of a sample or batch that hold an input and a label.
        stack: Makes a batch of a sequence of inputs.

    Raises:
        TypeError: ``dataset`` is none of these.
        AlignmentError: Its order is not defined.

    Examples:
        >>> [batch.indices.tolist() for batch in iterate_batches(np.zeros((5, 2)), batch_size=2)]
        [[0, 1], [2, 3], [4]]
        >>> [batch.indices.tolist() for batch in iterate_batches(np.zeros((5, 2)), batch_size=2, start=2, stop=3)]
        [[2]]
    """
    batch_size = check_batch_size(batch_size)
    if batched or (batched is None and is_loader(dataset)):
        length = announced_length(dataset.dataset) if is_loader(dataset) else None
        return Batches(loader_batches(dataset, input_getter, index_getter, pairs, stop), length)
    arrays = columns(dataset)
    if arrays is not None and input_getter is None and index_getter is None:
        return array_batches(arrays, batch_size, start, stop)
    if index_getter is not None:
        start = 0  # the place of a sample does not say which row it is
    rows = announced_length(dataset)
    picker = _SamplePicker(input_getter, index_getter, pairs, stack, stop)
    if arrays is not None:
        samples = (take_rows(arrays, row) for row in range(start, picker.end(count_rows(arrays))))
        return Batches(_pick(samples, batch_size, picker, start), rows)
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and not isinstance(dataset, Mapping | str):
        return Batches(_map_batches(dataset, batch_size, picker, start), rows)
    _check_iterable(dataset)
    iterator = iter(dataset)
    return Batches(_pick(itertools.islice(iterator, picker.end(None)), batch_size, picker, source=iterator), rows)


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


class _SamplePicker(NamedTuple):
    input_getter: Getter | None
    index_getter: Getter | None
    pairs: tuple[type, ...]
    stack: Callable[[Sequence[Any]], Any]
    stop: int | None

    def end(self, rows: int | None) -> Any:
        """Return the place of the first sample that is not to be read; with index_getter, all have to be."""
        stop = self.stop if self.index_getter is None else None
        return stop if rows is None else rows_before(stop, rows)

    def batch(self, samples: Sequence[Any], start: int) -> Batch:
        if self.index_getter is None:
            indices: Any = np.arange(start, start + len(samples))
        else:
            indices = checked_indices([self.index_getter(sample) for sample in samples], len(samples))
            if self.stop is not None and (indices >= self.stop).any():
                kept = np.flatnonzero(indices < self.stop)
                indices, samples = indices[kept], [samples[place] for place in kept.tolist()]
        if not samples:
            return Batch(indices, samples)
        inputs, labels = self._split(samples)
        columns = label_columns(None if labels[0] is None else collate_labels(labels))
        return Batch(indices, self._stacked(inputs, indices), columns)

    def _split(self, samples: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """Do what ``split_sample`` does, at once where all samples are pairs."""
        if self.input_getter is None and all(type(sample) in self.pairs and len(sample) > 1 for sample in samples):
            inputs, labels = itertools.islice(zip(*samples, strict=False), 2)
        else:
            pairs = (split_sample(sample, self.input_getter, self.pairs) for sample in samples)
            inputs, labels = zip(*pairs, strict=True)
        return inputs, labels

    def _stacked(self, inputs: Sequence[Any], indices: Indices) -> Any:
        try:
            return self.stack(inputs)
        except Exception as error:
            shapes = sorted({tuple(value.shape) for value in inputs if hasattr(value, "shape")})
            seen = f" of the shapes {', '.join(map(str, shapes))}" if len(shapes) > 1 else ""
            error.add_note(
                f"the samples {indices[0]} to {indices[-1]}{seen} do not stack to a batch; bring them to one shape in "
                "the dataset, or set batch_size=1"
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
