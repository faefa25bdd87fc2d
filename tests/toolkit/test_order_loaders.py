"""Loaders that wrap loaders: the innermost sampler says which rows there are, or the run is refused."""

import itertools

import numpy as np
import pytest

from probly.data_generator import AlignmentError
from tests.toolkit.datasets import LOGITS, ROWS, Loader, MapStyle, check, run

ORDER = [part.tolist() for part in np.split(np.random.default_rng(0).permutation(ROWS), [6, 12, 18])]


class Delegates:
    """Keeps the loader that it wraps, asks it for everything else, and reads one batch ahead."""

    def __init__(self, loader):
        self.base_dataloader = loader

    def __getattr__(self, name):
        if name == "base_dataloader":
            raise AttributeError(name)
        return getattr(self.base_dataloader, name)

    def __len__(self):
        return len(self.base_dataloader.batch_sampler)

    def __iter__(self):
        batches = iter(self.base_dataloader)
        current = next(batches)
        for following in batches:
            yield current
            current = following
        yield current


class Naive:
    """Asks the loader that it wraps for everything, even while it is copied and has none yet."""

    def __init__(self, loader):
        self.wrapped = loader

    def __getattr__(self, name):
        return getattr(self.wrapped, name)

    def __iter__(self):
        return iter(self.wrapped)


class Copies:
    """Has all the settings of the loader that it wraps as its own, and asks that one for batches."""

    def __init__(self, loader):
        self.__dict__.update(loader.__dict__)
        self._dataloader = loader

    def __len__(self):
        return len(self._dataloader.batch_sampler)

    def __iter__(self):
        for inputs, labels in self._dataloader:
            yield [inputs.copy(), labels]


class Prefetches:
    """Has properties for what a loader has."""

    def __init__(self, loader):
        self.loader = loader

    dataset = property(lambda self: self.loader.dataset)
    batch_sampler = property(lambda self: self.loader.batch_sampler)

    def __len__(self):
        return len(self.loader.batch_sampler)

    def __iter__(self):
        yield from self.loader


class Bare:
    """Shows nothing of the loader that it wraps."""

    def __init__(self, loader):
        self.inner = loader

    def __iter__(self):
        return map(tuple, self.inner)


class Sized(Loader):
    def __len__(self):
        return len(self.batch_sampler)


WRAPPERS = [Delegates, Naive, Copies, Prefetches, lambda loader: Delegates(Copies(loader))]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_the_innermost_sampler_is_asked(wrap):
    loader = Sized(ORDER)
    wrapped = wrap(loader)
    distributions = run(wrapped)
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, np.arange(ROWS))
    assert loader.batch_sampler is ORDER, "the caller's loader is not touched"
    assert run(wrapped) == distributions


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_rows_that_are_left_out_are_reported(wrap):
    with pytest.warns(UserWarning, match="generated 12 distributions, but dataset length is 20"):
        check(run(wrap(Sized(ORDER[:2]))), np.sort(np.concatenate(ORDER[:2])))


def test_a_wrapper_that_looks_like_no_loader():
    with pytest.raises(AlignmentError, match="batched=True"):
        run(Bare(Sized(ORDER)))
    check(run(Bare(Sized(ORDER)), batched=True))


def test_a_wrapper_that_hands_out_samples_is_a_stream():
    class Samples:
        def __init__(self, loader):
            self.loader = loader

        def __iter__(self):
            for inputs, labels in self.loader:
                yield from zip(inputs, labels, strict=True)

    class RandomSampler(list):
        pass

    check(run(Samples(Sized([range(9), range(9, ROWS)]))))
    with pytest.raises(AlignmentError, match=r"no defined order \(RandomSampler\)"):
        run(Samples(Sized(RandomSampler(ORDER))))


def test_a_wrapper_of_several_loaders():
    class Several:
        def __init__(self, *loaders):
            self.first, self.second = loaders

        def __iter__(self):
            return itertools.chain(self.first, self.second)

    class RandomSampler(list):
        pass

    check(run(Several(Sized([range(9)]), Sized([range(9, ROWS)])), batched=True))
    with pytest.raises(AlignmentError, match=r"no defined order \(RandomSampler\)"):
        run(Several(Sized([range(9)]), Sized(RandomSampler(ORDER))), batched=True)


def test_a_wrapper_that_cuts_other_batches_is_refused():
    class Halves(Prefetches):
        def __iter__(self):
            for inputs, labels in self.loader:
                half = len(inputs) // 2
                yield [inputs[:half], labels[:half]]
                yield [inputs[half:], labels[half:]]

    with pytest.raises(AlignmentError, match=r"batch 0: expected 3 indices, one per row, got the shape \(6,\)"):
        run(Halves(Sized(ORDER)))


class Endless:
    """Chooses again and again, for the same workers to go on with the next epoch."""

    def __init__(self, sampler):
        self.sampler = sampler

    def __iter__(self):
        while True:
            yield from self.sampler


class MultiEpochs(Loader):
    """Makes its iterator once and for all."""

    def __init__(self, batches):
        super().__init__(Endless(batches))
        self.iterator = None

    def __len__(self):
        return len(self.batch_sampler.sampler)

    def __iter__(self):
        if self.iterator is None:
            self.iterator = super().__iter__()
        for _ in range(len(self)):
            yield next(self.iterator)


def test_a_loader_that_never_lets_go_of_its_iterator():
    loader = MultiEpochs(ORDER)
    check(run(loader))
    next(iter(loader))
    with pytest.raises(AlignmentError, match=r"MultiEpochs: batch 0 did not come from its sampler.*pass its dataset"):
        run(loader)
    check(run(loader.dataset))


def test_an_iterable_dataset_that_shuffles_in_a_loader():
    """Its sampler counts only."""

    class Shuffles(MapStyle):
        shuffle = True

    class Counts(Loader):
        def collate(self, chosen):
            return LOGITS[: len(chosen)]

    with pytest.raises(AlignmentError, match=r"Shuffles with shuffle=True.*index_getter"):
        run(Counts([[None] * 10, [None] * 10], Shuffles()))
    check(run(Counts([[None] * 10], MapStyle(10))), np.arange(10))


def batches_of(loader):
    yield from map(tuple, loader)


def test_a_loader_that_a_generator_reads_takes_all_rows_in_order():
    check(run(batches_of(Sized([range(9), range(9, ROWS)])), batched=True))
    for batches in (ORDER, [list(range(ROWS))[::-1]], [range(10, ROWS), range(10)], [range(0, ROWS, 2)]):
        with pytest.raises(
            AlignmentError, match=r"no defined order \(Sized takes its rows in another order, or leaves"
        ):
            run(batches_of(Sized(batches)), batched=True)
        check(
            run(batches_of(Sized(batches)), batched=True, index_getter=lambda batch: batch[1]),
            np.sort(np.concatenate([list(part) for part in batches])),
        )


def test_workers_that_each_read_an_iterable_dataset_in_a_generator():
    loader = Sized([[None] * 10, [None] * 10], dataset=iter(()))
    loader.collate = lambda chosen: [LOGITS[: len(chosen)], np.arange(len(chosen))]
    loader.num_workers = 2
    with pytest.raises(AlignmentError, match="Sized with 2 workers that each read an iterable dataset"):
        run(batches_of(loader), batched=True)


def test_a_sampler_that_is_used_up_by_a_look_is_not_asked():
    sampler = iter([range(9), range(9, ROWS)])
    check(run(batches_of(Loader(sampler)), batched=True))
