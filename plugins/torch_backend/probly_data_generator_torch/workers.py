"""Fetching the samples of a Dataset in worker processes; each sample carries its number through them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.batches import iterate_batches
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.samples import Batch, Batches, fetch
from probly_data_generator_torch.arrays import PAIRS, stack_samples


class _Numbered(Dataset[tuple[int, Any]]):
    """The samples of a dataset, each with its number."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, fetch(self.dataset, [index])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[int, Any]]:
        return list(zip(indices, fetch(self.dataset, indices), strict=True))


class _Fetched:
    """Consecutive samples of a dataset under their own numbers, by which messages name them."""

    def __init__(self, first: int, samples: Sequence[Any]) -> None:
        self.first = first
        self.samples = samples

    def __len__(self) -> int:
        return self.first + len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return self.samples[index - self.first]


class _Collate:
    """Makes a batch of numbered samples; an object, because workers that are spawned get it as bytes."""

    def __init__(
        self,
        input_getter: Getter | None,
        index_getter: Getter | None,
        label_getter: Getter | None,
        stop: int | None,
        stack: Callable[[Sequence[Any]], Any],
    ) -> None:
        self.input_getter = input_getter
        self.index_getter = index_getter
        self.label_getter = label_getter
        self.stop = stop
        self.stack = stack

    def __call__(self, numbered: Sequence[tuple[int, Any]]) -> Batch:
        numbers, samples = zip(*numbered, strict=True)
        first = numbers[0] if self.index_getter is None else 0
        (batch,) = iterate_batches(
            _Fetched(first, samples),
            len(samples),
            self.input_getter,
            self.index_getter,
            start=first,
            stop=self.stop,
            label_getter=self.label_getter,
            pairs=PAIRS,
            stack=self.stack,
        )
        return batch


def fetched_by_workers(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    start: int,
    stop: int | None,
    num_workers: int,
    label_getter: Getter | None = None,
    stack: Callable[[Sequence[Any]], Any] = stack_samples,
) -> Batches:
    """Return the batches of a map-style Dataset from row ``start`` up to ``stop``, fetched ahead by worker processes.

    No worker reads another sample, unless only an ``index_getter`` can tell which rows those are.

    Raises:
        AlignmentError: It is an IterableDataset, whose workers would each read their own copy.
    """
    if isinstance(dataset, IterableDataset):
        message = (
            f"option 'num_workers': {type(dataset).__name__} is iterable, and every worker would read all of it; leave "
            "the option out, or pass a DataLoader whose samples carry their index and set index_getter"
        )
        raise AlignmentError(message)
    numbered = _Numbered(dataset)
    rows = range(len(numbered))[start:stop] if index_getter is None else range(len(numbered))
    loader = DataLoader(
        Subset(numbered, rows),
        batch_size,
        num_workers=num_workers,
        collate_fn=_Collate(input_getter, index_getter, label_getter, stop, stack),
    )
    return Batches(_batches(loader), len(numbered))


def _batches(loader: DataLoader[Any]) -> Iterator[Batch]:
    iterator: Any = iter(loader)
    try:
        yield from iterator
    finally:
        # After an error its traceback keeps the iterator, and the garbage collector, which takes apart the queue by
        # which workers are told to end before it takes the iterator, would wait five seconds for each of them.
        iterator._shutdown_workers()  # noqa: SLF001  # torch has no public name for it
