"""What counts as a dataset, and how it is cut into batches."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.loaders import SimpleDataLoader, is_loader, loader_batches
from probly.data_generator.toolkit.nests import collate, columns, count_rows, is_array, leaves, take_rows
from probly.data_generator.toolkit.order import check_order
from probly.data_generator.toolkit.parts import Getter, split_sample
from probly.data_generator.toolkit.pipelines import is_graph, source_rows
from probly.data_generator.toolkit.reading import Reader, check_is_sample, stacked_labels
from probly.data_generator.toolkit.samples import (
    Batch,
    Batches,
    announced_length,
    check_batch_size,
    checked_indices,
    fetch,
    label_columns,
    spans,
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
    if batched or (batched is None and is_loader(dataset)):
        _check_iterable(dataset, by_number=True)
        # A list is a pair here too: loaders that collate tuples commonly hand out lists.
        pairs = pairs if isinstance(dataset, SimpleDataLoader) else (*pairs, list)
        return loader_batches(dataset, Reader(input_getter, label_getter, index_getter, pairs), stop)
    arrays = columns(dataset)
    if arrays is not None and input_getter is label_getter is index_getter is None:
        return _array_batches(arrays, batch_size, start, stop)
    unclear = type(dataset).__name__ if batched is None and arrays is None else None
    make = _SampleBatches(Reader(input_getter, label_getter, index_getter, pairs), stack, stop, unclear)
    if index_getter is not None:
        start, stop = 0, None  # the place of a sample does not say which row it is, so all of them are read
    if arrays is not None:
        source, rows = arrays, count_rows(arrays)
    elif hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and not isinstance(dataset, Mapping | str):
        source, rows = dataset, len(dataset)
    else:
        _check_iterable(dataset, by_number=False)
        check_order(dataset, index_getter, batched=batched)
        length = source_rows(dataset, batched=False) if is_graph(dataset) else announced_length(dataset)
        return Batches(_as_they_come(iter(dataset), batch_size, stop, make), length)
    return Batches((make(fetch(source, span), span.start) for span in spans(rows, start, stop, batch_size)), rows)


def _array_batches(arrays: Any, batch_size: int, start: int, stop: int | None) -> Batches:
    """Cut arrays of equal length into batches; no sample is ever fetched alone."""
    inputs, labels = split_sample(arrays)
    rows = count_rows(arrays)

    def cut(span: range) -> Batch:
        part = slice(span.start, span.stop)
        own = None if labels is None else take_rows(labels, part)
        return Batch(np.arange(span.start, span.stop), take_rows(inputs, part), label_columns(own))

    return Batches(map(cut, spans(rows, start, stop, batch_size)), rows)


def split_names(dataset: Any) -> list[str] | None:
    """Return the names of the datasets that a mapping holds, such as "train" and "test", or None of anything else.

    Examples:
        >>> split_names({"inputs": np.zeros(3)}) is None
        True
    """
    if not isinstance(dataset, Mapping) or not dataset:
        return None
    held = dataset.values()
    whole = all(hasattr(one, "column_names") or is_graph(one) or is_loader(one) for one in held)
    return [str(name) for name in dataset] if whole and not any(map(is_array, held)) else None


def _check_iterable(dataset: Any, *, by_number: bool) -> None:
    """Refuse what cannot be iterated over in a defined order, or asked for its items by number."""
    kind = type(dataset).__name__
    splits = split_names(dataset)
    if splits is not None:
        message = (
            f"a {kind} holds the datasets {', '.join(map(repr, splits))}, each with indices of its own; pass one of "
            f"them, such as dataset[{splits[-1]!r}]"
        )
        raise AlignmentError(message)
    if isinstance(dataset, set | frozenset):
        message = f"the order of a {kind} is not defined, so its rows have no index; pass a list"
        raise AlignmentError(message)
    holds_items = not isinstance(dataset, Mapping | str | bytes)
    numbered = holds_items and hasattr(dataset, "__getitem__")
    if (holds_items and hasattr(dataset, "__iter__")) or (by_number and numbered and hasattr(dataset, "__len__")):
        return
    # Without __len__ the end would be the first IndexError, and some array libraries clamp an index instead.
    lazy = next((name for name in ("collect", "compute") if callable(getattr(dataset, name, None))), None)
    missing = f"; pass what its {lazy}() returns" if lazy else "; give it __len__" if numbered else ""
    if isinstance(dataset, str | PathLike):
        missing = "; read the file, and pass what it holds"
    message = f"expected arrays, a sequence of samples, an iterable or a loader as dataset, got {kind}{missing}"
    raise TypeError(message)


def _as_they_come(
    iterator: Iterator[Any], batch_size: int, stop: int | None, make: Callable[[Sequence[Any], int], Batch]
) -> Iterator[Batch]:
    samples = map(_kept, itertools.islice(iterator, stop))
    start = 0
    try:
        while taken := list(itertools.islice(samples, batch_size)):
            yield make(taken, start)
            start += len(taken)
    finally:
        if hasattr(iterator, "close"):  # a generator that is not read to its end
            iterator.close()


def _kept(sample: Any) -> Any:
    """Return a sample with copies of NumPy's arrays: a stream may fill the same one again for the next sample."""
    if type(sample) is tuple:
        return tuple(part.copy() if type(part) is np.ndarray else part for part in sample)
    if type(sample) is dict:
        return {key: part.copy() if type(part) is np.ndarray else part for key, part in sample.items()}
    return sample.copy() if type(sample) is np.ndarray else sample


class _SampleBatches:
    """Makes batches of samples; ``unclear`` is the type of a dataset whose first sample may be a batch, or None."""

    def __init__(
        self, reader: Reader, stack: Callable[[Sequence[Any]], Any], stop: int | None, unclear: str | None
    ) -> None:
        self.reader, self.stack, self.stop, self.unclear = reader, stack, stop, unclear

    def __call__(self, samples: Sequence[Any], start: int) -> Batch:
        """Return a batch of samples, the first of which comes at the place ``start``."""
        indices, given = np.arange(start, start + len(samples)), None
        if self.reader.index_getter is not None:
            given = [self.reader.index_getter(sample) for sample in samples]
            indices = checked_indices(given, len(samples))
            if self.stop is not None:
                kept = np.flatnonzero(indices < self.stop).tolist()
                indices, samples, given = indices[kept], [samples[at] for at in kept], [given[at] for at in kept]
        if not samples:
            return Batch(indices, samples)
        inputs, labels = self.reader.split(samples, given)
        if self.unclear is not None:
            check_is_sample(inputs[0], labels[0], self.unclear)
            self.unclear = None
        try:
            return Batch(indices, self.stack(inputs), label_columns(stacked_labels(labels)))
        except Exception as error:
            if not any(hasattr(leaf, "getbands") for leaf in leaves(inputs)):  # pictures have no shape yet
                shapes = sorted({tuple(value.shape) for value in inputs if hasattr(value, "shape")})
                seen = f" of the shapes {', '.join(map(str, shapes))}" if len(shapes) > 1 else ""
                error.add_note(
                    f"the samples {indices[0]} to {indices[-1]}{seen} do not stack to a batch; bring them to one shape "
                    "in the dataset, set batch_size=1, or batched=True if they are batches already"
                )
            raise
