"""What counts as a dataset, and how it is cut into batches."""

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.loaders import is_loader, loader_batches
from probly.data_generator.toolkit.nests import (
    collate,
    collate_labels,
    columns,
    count_rows,
    is_array,
    is_table,
    leaves,
    map_leaves,
    take_rows,
)
from probly.data_generator.toolkit.samples import (
    Batch,
    Batches,
    Getter,
    Indices,
    announced_length,
    check_batch_size,
    checked_indices,
    fetch,
    split_sample,
)


def iterate_batches(  # the arguments of the hook, less the model
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None = None,
    index_getter: Getter | None = None,
    batched: bool | None = None,
    start: int = 0,
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
        pairs: The types of a sample or batch that hold an input and a label.
        stack: Makes a batch of a sequence of inputs.

    Raises:
        TypeError: ``dataset`` is none of these.
        AlignmentError: Its order is not defined.

    Examples:
        >>> [batch.indices.tolist() for batch in iterate_batches(np.zeros((5, 2)), batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """
    batch_size = check_batch_size(batch_size)
    if batched or (batched is None and is_loader(dataset)):
        length = announced_length(dataset.dataset) if is_loader(dataset) else None
        return Batches(loader_batches(dataset, input_getter, index_getter, pairs), length)
    arrays = columns(dataset)
    if arrays is not None and input_getter is None and index_getter is None:
        return ArrayBatches(arrays, batch_size, start)
    rows = announced_length(dataset)
    picker = _SamplePicker(input_getter, index_getter, pairs, stack)
    if arrays is not None:
        return Batches(_pick(array_samples(arrays, start), batch_size, picker, start), rows)
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and not isinstance(dataset, Mapping | str):
        return Batches(_map_batches(dataset, batch_size, picker, start), rows)
    _check_iterable(dataset)
    return Batches(_pick(iter(dataset), batch_size, picker), rows)


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


QUICK = 0.03
"""The seconds that batches cut at once may take together: nothing else happens meanwhile, Ctrl-C excepted."""
MOST_TOGETHER = 64
"""The batches that are cut at once; in the first step of a run, behind the first one."""


class ArrayBatches(Batches):
    """Batches cut from arrays of equal length; no sample is ever fetched alone.

    Args:
        arrays: Inputs, or a tuple of inputs and labels.
        batch_size: Rows per batch.
        start: The first row.

    Attributes:
        together: The batches that are cut at once, 1 unless ``keep_pace`` is called.
        lasts: Whether several batches may be cut at once: what can be sliced, but is no array, may read into a buffer
            of its own, of the size that it knows.
    """

    def __init__(self, arrays: Any, batch_size: int, start: int = 0) -> None:
        super().__init__(iter(()), count_rows(arrays))
        self.batch_size, self.together, self._start = batch_size, 1, start
        self._since: float | None = None
        self.lasts = all(hasattr(array, "__dlpack__") for array in leaves(arrays))
        self._inputs, labels = split_sample(arrays)
        self._cut_inputs = cutter(self._inputs)
        self._cut_labels = _no_labels if labels is None else cutter(labels)

    def __next__(self) -> Batch:
        """Return the next rows."""
        assert self.length is not None
        start = self._start
        if start >= self.length:
            raise StopIteration
        if self._since is None:
            self._since = time.perf_counter()
        stop = self._start = min(start + self.together * self.batch_size, self.length)
        return self.cut(start, stop)

    def cut(self, start: int, stop: int) -> Batch:
        """Return the rows from ``start`` to before ``stop``."""
        part = slice(start, stop)
        return Batch(np.arange(start, stop), self._cut_inputs(part), self._cut_labels(part))

    def change_inputs(self, function: Callable[[Any], Any]) -> None:
        """Cut the inputs from what a function makes of each of their arrays."""
        self._inputs = map_leaves(function, self._inputs)
        self._cut_inputs = cutter(self._inputs)

    def keep_pace(self, *, over: bool) -> None:
        """Cut more batches at once while they are quick, so that a step of Python serves several; fewer when not.

        A run that takes them apart again calls it once per step.

        Args:
            over: Whether the step waited for the rows of one. A step that only began one may have left the computing to
                the device, so it can be too slow, but never quick.
        """
        since, self._since = self._since, time.perf_counter()
        if self.lasts and since is not None:
            fitting = self.together * QUICK / max(self._since - since, 1e-9)
            self.together = max(1, min(int(fitting), MOST_TOGETHER if over else self.together))


def _no_labels(part: slice) -> None:  # noqa: ARG001
    return None


def cutter(nest: Any, total: int | None = None) -> Callable[[slice], Any]:
    """Return what ``take_rows`` does to a nest, looked up once: a single array is cut by its own ``[...]``."""
    if is_array(nest) and not is_table(nest):
        return nest.__getitem__  # type: ignore[no-any-return]
    return functools.partial(take_rows, nest, total=total)


def array_samples(arrays: Any, start: int = 0) -> Iterator[Any]:
    """Yield the samples of arrays of equal length one by one."""
    return (take_rows(arrays, row) for row in range(start, count_rows(arrays)))


class _SamplePicker(NamedTuple):
    input_getter: Getter | None
    index_getter: Getter | None
    pairs: tuple[type, ...]
    stack: Callable[[Sequence[Any]], Any]

    def batch(self, samples: Sequence[Any], start: int) -> Batch:
        inputs, labels = self._split(samples)
        if self.index_getter is None:
            indices: Any = np.arange(start, start + len(samples))
        else:
            indices = checked_indices([self.index_getter(sample) for sample in samples], len(samples))
        return Batch(indices, self._stacked(inputs, indices), None if labels[0] is None else collate_labels(labels))

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


def _pick(samples: Iterator[Any], batch_size: int, picker: _SamplePicker, start: int = 0) -> Iterator[Batch]:
    while taken := list(itertools.islice(samples, batch_size)):
        yield picker.batch(taken, start)
        start += len(taken)


def _map_batches(dataset: Any, batch_size: int, picker: _SamplePicker, first: int) -> Iterator[Batch]:
    rows = len(dataset)
    for start in range(first, rows, batch_size):
        indices = range(start, min(start + batch_size, rows))
        yield picker.batch(fetch(dataset, indices), start)
