"""Streams in which something shuffles are refused, however deep it is; those that keep their order are read."""

import functools
import itertools

import numpy as np
import pytest

from probly.data_generator import AlignmentError, SimpleDataLoader
from probly.data_generator.toolkit.order import unordered_step
from tests.toolkit.datasets import LOGITS, ROWS, check, run


class Stream:
    """A stream over another one, under an attribute of any name; samples carry their index."""

    def __init__(self, source=None, **settings):
        self.source = source
        for name, value in settings.items():
            setattr(self, name, value)

    def __iter__(self):
        source = range(ROWS) if self.source is None else self.source
        for one in source:
            yield one if isinstance(one, tuple) else (LOGITS[one], one)


class RandomSampler:
    def __iter__(self):
        yield from np.random.default_rng(0).permutation(ROWS).tolist()


class BufferShuffledExamples:
    def __init__(self, ex_iterable):
        self.ex_iterable = ex_iterable

    def __iter__(self):
        yield from list(self.ex_iterable)[::-1]


class BucketBatcherIterDataPipe(BufferShuffledExamples):
    pass


class GrouperIterDataPipe(BufferShuffledExamples):
    pass


class Mapped:
    def __init__(self, ex_iterable, function):
        self.ex_iterable, self.function = ex_iterable, function

    def __iter__(self):
        return map(self.function, self.ex_iterable)


class IterableDataset(Stream):
    """As iterable datasets are that keep their steps in a private attribute, and have a method of that name."""

    def __init__(self, ex_iterable):
        self._ex_iterable = ex_iterable

    def shuffle(self, seed=None):
        return IterableDataset(BufferShuffledExamples(self._ex_iterable))

    def map(self, function):
        return IterableDataset(Mapped(self._ex_iterable, function))

    def __iter__(self):
        yield from self._ex_iterable


class Shuffler(Stream):
    """A step that can be switched off, as a datapipe is by its loader."""

    def __init__(self, source, enabled):
        super().__init__(RandomSampler() if enabled else source)
        self.source_datapipe, self._enabled = source, enabled


class Stage:
    """A stage of a pipeline that calls a function."""

    def __init__(self, f):
        self.f = f

    def __call__(self, samples):
        return self.f(samples)


def _shuffle(samples):
    return iter(list(samples)[::-1])


class DataPipeline(Stream):
    def __init__(self, *pipeline):
        self.pipeline = list(pipeline)

    def __iter__(self):
        samples = iter(self.pipeline[0])
        for stage in self.pipeline[1:]:
            samples = stage(samples)
        return iter(samples)


class Reads:
    """A loader of one's own that shuffles in ``__iter__``, and hands out batches."""

    def __init__(self, shuffle):
        self.dataset, self.bs, self.shuffle = list(LOGITS), 6, shuffle

    def __iter__(self):
        order = np.random.default_rng(0).permutation(ROWS) if self.shuffle else np.arange(ROWS)
        for start in range(0, ROWS, self.bs):
            yield LOGITS[order[start : start + self.bs]], order[start : start + self.bs]


def generated(stream):
    yield from stream


def of_the_script():
    yield from OF_THE_SCRIPT


class OfTheScript:
    def __iter__(self):
        return map(keep, OF_THE_SCRIPT)


def closes_over(stream):
    def samples():
        yield from stream

    return samples()


def with_slots(source):
    class Slots:
        __slots__ = ("inner",)

        def __iter__(self):
            return iter(self.inner)

    made = Slots()
    made.inner = source
    return made


def keep(sample):
    return sample


OF_THE_SCRIPT = IterableDataset(Stream()).shuffle()
SHUFFLED = {
    "by its setting": lambda: Stream(RandomSampler(), shuffle=True),
    "by the size of its buffer": lambda: Stream(RandomSampler(), shuffle=1000),
    "by a way to shuffle": lambda: Stream(RandomSampler(), shuffle="batch"),
    "by a private setting": lambda: Stream(RandomSampler(), _shuffle=np.True_),
    "by its sampler": lambda: Stream(RandomSampler()),
    "two wrappers deep": lambda: Stream(inner=Stream(), source=(row[1] for row in Stream(Stream(RandomSampler())))),
    "steps in a private attribute": lambda: IterableDataset(Stream()).shuffle().map(keep),
    "iterated already": lambda: iter(IterableDataset(Stream()).shuffle()),
    "an expression": lambda: (sample for sample in IterableDataset(Stream()).shuffle()),
    "a generator": lambda: generated(IterableDataset(Stream()).shuffle()),
    "map, islice and zip": lambda: map(keep, itertools.islice(IterableDataset(Stream()).shuffle(), ROWS)),
    "one of a chain": lambda: itertools.chain(Stream(range(3)), IterableDataset(Stream()).shuffle()),
    "a datapipe": lambda: Shuffler(range(ROWS), enabled=True),
    "buckets": lambda: Mapped(BucketBatcherIterDataPipe(Stream()), keep),
    "groups": lambda: Mapped(GrouperIterDataPipe(Stream()), keep),
    "stages": lambda: DataPipeline(Stream(), Stage(keep), Stage(_shuffle)),
    "a partial": lambda: DataPipeline(Stream(), functools.partial(_shuffle)),
    "slots": lambda: with_slots(Stream(RandomSampler())),
    "a dict of streams": lambda: Stream(streams={"a": Stream(RandomSampler())}, source=RandomSampler()),
    "a shuffling loader": lambda: (
        (row, int(index))
        for rows, labels in SimpleDataLoader((LOGITS, np.arange(ROWS)), 6, shuffle=True)
        for row, index in zip(rows, labels, strict=True)
    ),
    "a generator of a loader of the script": of_the_script,
    "a stream of a loader of the script": OfTheScript,
    "a generator that closes over it": lambda: closes_over(IterableDataset(Stream()).shuffle()),
    "one of two that share it": lambda: itertools.tee(IterableDataset(Stream()).shuffle())[0],
    "a set": lambda: ((LOGITS[index], index) for index in set(range(ROWS))),
}


@pytest.mark.parametrize("kind", SHUFFLED)
def test_what_shuffles_is_refused_and_index_getter_helps(kind):
    with pytest.raises(AlignmentError, match=r"has no defined order \(.*\), so its rows have no index.*index_getter"):
        run(SHUFFLED[kind]())
    if kind != "one of a chain":  # three of its rows come twice
        check(run(SHUFFLED[kind](), index_getter=lambda sample: sample[1], batch_size=6))


class UnshuffledStream(Stream):
    pass


class NoShuffleStream(Stream):
    pass


class Raises(Stream):
    @property
    def shuffle(self):
        raise RuntimeError("not yet")


class ChannelShuffle:
    """A transform."""

    def __call__(self, sample):
        return sample


ORDERED = {
    "plain": Stream,
    "by its setting": lambda: Stream(shuffle=False, _shuffle=0, shardshuffle=None),
    "a method": lambda: IterableDataset(Stream()),
    "a datapipe that is switched off": lambda: Shuffler(range(ROWS), enabled=False),
    "stages": lambda: DataPipeline(Stream(), Stage(keep)),
    "names": lambda: UnshuffledStream(NoShuffleStream(range(ROWS))),
    "a property that raises": Raises,
    "a transform": lambda: Stream(transform=ChannelShuffle(), transforms=[ChannelShuffle()]),
    "chain": lambda: itertools.chain(itertools.islice(Stream(), 5), itertools.islice(Stream(), 5, None)),
    "a loader": lambda: ((row, 0) for rows, _ in SimpleDataLoader((LOGITS, np.arange(ROWS)), 6) for row in rows),
    "sets beside": lambda: Stream(classes={"a", "b"}),
}


@pytest.mark.parametrize("kind", ORDERED)
def test_what_keeps_its_order_is_read(kind):
    check(run(ORDERED[kind](), batch_size=6))


class RepeatExamples:
    """A step that repeats another one: so often, or for ever if that is None."""

    def __init__(self, ex_iterable, num_times):
        self.ex_iterable, self.num_times, self.epoch = ex_iterable, num_times, np.array(0)

    def __iter__(self):
        for _ in itertools.count() if self.num_times is None else range(self.num_times):
            yield from self.ex_iterable


class TakeExamples(RepeatExamples):
    def __iter__(self):
        return itertools.islice(self.ex_iterable, self.num_times)


def first_of(stream):
    yield from itertools.islice(stream, ROWS)


ENDLESS = {
    "a step": lambda: RepeatExamples(Stream(), None),
    "a step before others": lambda: IterableDataset(RepeatExamples(Stream(), None)).map(keep),
    "iterated already": lambda: iter(IterableDataset(RepeatExamples(Stream(), None))),
    "an expression": lambda: (sample for sample in map(keep, RepeatExamples(Stream(), None))),
    "itertools": lambda: map(keep, itertools.cycle(list(LOGITS))),
    "a repeat": lambda: itertools.chain.from_iterable(map(list, itertools.repeat(LOGITS))),
    "a counter": lambda: (LOGITS[number % ROWS] for number in itertools.count()),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_streams_without_an_end_are_refused(kind):
    with pytest.raises(
        ValueError, match=r"the (RepeatExamples|cycle|repeat|count) never ends; leave out repeat\(\), or cut it with"
    ):
        run(ENDLESS[kind]())
    check(run(itertools.islice(ENDLESS[kind](), ROWS)))


ENDING = {
    "once": lambda: RepeatExamples(Stream(), 1),
    "cut": lambda: IterableDataset(TakeExamples(RepeatExamples(Stream(), None), ROWS)),
    "with a counter": lambda: Stream(range(ROWS), numbers=itertools.count()),
    "so often": lambda: itertools.chain.from_iterable(itertools.repeat(list(LOGITS), 1)),
    "beside a counter": lambda: map(lambda row, _: row, iter(list(LOGITS)), itertools.count()),
    "cut by code of one's own": lambda: first_of(RepeatExamples(Stream(), None)),
    "as long as another": lambda: (one for one, _ in zip(RepeatExamples(Stream(), None), range(ROWS), strict=False)),
}


@pytest.mark.parametrize("kind", ENDING)
def test_streams_that_may_end_are_read(kind):
    check(run(ENDING[kind]()))


@pytest.mark.parametrize("batched", [None, True])
def test_loaders_of_ones_own_that_shuffle(batched):
    getter = None if batched is None else (lambda batch: batch[1])
    with pytest.raises(AlignmentError, match="batched=True" if batched is None else "Reads with shuffle=True.*index_g"):
        run(Reads(shuffle=True), batched=batched)
    if batched:
        check(run(Reads(shuffle=False), batched=True))
        check(run(Reads(shuffle=True), batched=True, index_getter=getter))


def test_loaders_that_say_by_get_idxs_which_rows_they_take():
    class Sorted(Reads):
        def get_idxs(self):
            return sorted(range(ROWS), key=lambda index: LOGITS[index, 0])

    class Plain(Reads):
        def get_idxs(self):
            return list(range(ROWS))

    with pytest.raises(AlignmentError, match="Sorted takes its rows in another order"):
        run(Sorted(shuffle=False), batched=True)
    check(run(Plain(shuffle=False), batched=True))


def test_a_circle_of_wrappers_ends():
    stream = Stream()
    stream.itself, stream.both = stream, [stream, stream]
    check(run(stream))


def test_samples_are_no_steps():
    """A list of thousands is not searched; positions in a sequence are indices, whatever it says of itself."""
    assert unordered_step([RandomSampler()] * 100) is None

    class Sequence(list):
        shuffle = True

    check(run(Sequence(LOGITS)))
