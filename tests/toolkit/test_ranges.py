"""A range of a dataset: rows before ``start`` may come again, none from ``stop`` on, and nothing is read past it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probly.data_generator import SimpleDataLoader
from probly.data_generator.toolkit.batches import iterate_batches

ROWS = 20
INPUTS = np.arange(ROWS * 2).reshape(ROWS, 2)
LABELS = np.arange(ROWS) * 10


class Sequence:
    """Samples that note which of them were read."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        self.read.append(index)
        return INPUTS[index], LABELS[index]


class Loader:
    """A loader of the common shape, whose dataset notes what was read."""

    def __init__(self, order, size=4):
        self.dataset = Sequence()
        self.batch_sampler = [list(order[start : start + size]) for start in range(0, len(order), size)]

    def __iter__(self):
        for chosen in self.batch_sampler:
            samples = [self.dataset[index] for index in chosen]
            yield [np.stack(part) for part in zip(*samples, strict=True)]


def found(dataset, **options):
    """Return the indices of all batches, after their inputs and labels have been compared."""
    indices = []
    for batch in iterate_batches(dataset, **{"batch_size": 4, **options}):
        assert len(batch.indices) == len(batch.inputs) == len(batch.labels)
        np.testing.assert_array_equal(batch.inputs, INPUTS[batch.indices])
        np.testing.assert_array_equal(batch.labels, LABELS[batch.indices])
        indices += batch.indices.tolist()
    return indices


def stream():
    yield from zip(INPUTS, LABELS, strict=True)


@given(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 25)), st.integers(1, 7))
def test_every_kind_of_dataset_ends_before_stop(begin, stop, batch_size):
    start, end = begin * batch_size, ROWS if stop is None else min(stop, ROWS)
    options = {"start": start, "stop": stop, "batch_size": batch_size}
    enterable = list(range(start, end))
    assert found((INPUTS, LABELS), **options) == enterable
    assert found(Sequence(), **options) == enterable
    whole = list(range(end))
    assert found(stream(), **options) in (enterable, whole)
    assert found(SimpleDataLoader((INPUTS, LABELS), batch_size), **options) == whole
    shuffled = SimpleDataLoader((INPUTS, LABELS), batch_size, shuffle=True, seed=0)
    assert sorted(found(shuffled, **options)) == whole
    batches = [(INPUTS[at : at + 3], LABELS[at : at + 3]) for at in range(0, ROWS, 3)]
    assert found(batches, batched=True, **options) == whole


@pytest.mark.parametrize("stop", [1, 4, 6, 20])
def test_nothing_is_read_past_stop(stop):
    samples = Sequence()
    found(samples, stop=stop)
    assert samples.read == list(range(stop))
    in_order, shuffled = Loader(range(ROWS)), Loader(np.random.default_rng(0).permutation(ROWS))
    for loader in (in_order, shuffled):
        assert sorted(found(loader, stop=stop)) == list(range(stop))
        assert len(loader.dataset.read) >= stop
    taken = []
    found((taken.append(sample) or sample for sample in stream()), stop=stop)
    assert len(taken) == stop


def test_nothing_is_read_where_nothing_is_needed():
    taken = []
    batches = (taken.append(number) or (INPUTS[:4], LABELS[:4]) for number in range(3))
    loader = Loader(range(ROWS))
    assert found(batches, batched=True, stop=0) == found(loader, stop=0) == found(iter([1]), stop=0) == []
    assert taken == loader.dataset.read == []


class Brackets:
    """An array of a library whose brackets take slices, but no positions."""

    dtype, shape = "float32", (4,)

    def __array__(self, dtype=None, copy=None):
        return np.arange(4.0)

    def __getitem__(self, rows):
        if not isinstance(rows, slice):
            raise TypeError("only slices")
        return Brackets() if rows == slice(None) else ("cut", rows)


def test_batches_are_cut_whatever_their_brackets_take():
    (batch,) = iterate_batches([(Brackets(), None)], 4, batched=True, stop=3)
    assert batch.inputs == ("cut", slice(0, 3)), "it stays an array of its library where it can"
    getter = {"index_getter": lambda batch: [9, 0, 1, 8]}
    (batch,) = iterate_batches([(Brackets(), None)], 4, batched=True, stop=3, **getter)
    assert (batch.indices.tolist(), batch.inputs.tolist()) == ([0, 1], [1.0, 2.0])


def test_a_sampler_chooses_nothing_past_stop():
    """So that no worker of a loader reads it."""

    class Reads(Loader):
        def __iter__(self):
            chosen = list(self.batch_sampler)  # as workers that read ahead do
            self.dataset.read.clear()
            for indices in chosen:
                samples = [self.dataset[index] for index in indices]
                yield [np.stack(part) for part in zip(*samples, strict=True)]

    loader = Reads(np.random.default_rng(0).permutation(ROWS))
    assert sorted(found(loader, stop=7)) == list(range(7))
    assert sorted(loader.dataset.read) == list(range(7))


def test_indices_of_the_users_own_are_looked_at_one_by_one():
    order = np.random.default_rng(0).permutation(ROWS).tolist()
    samples = [(INPUTS[index], LABELS[index], index) for index in order]
    getter = {"index_getter": lambda sample: sample[2], "stop": 7}
    assert found(samples, **getter) == [index for index in order if index < 7]
    assert found(iter(samples), **getter) == [index for index in order if index < 7]
    batches = [(INPUTS[part], LABELS[part], np.asarray(part)) for part in (order[:9], order[9:])]
    assert found(batches, batched=True, **getter) == [index for index in order if index < 7]


def test_indices_of_the_users_own_may_be_needed_before_the_start():
    """The place of a sample does not tell its row, so a dataset is not entered there."""
    order = np.random.default_rng(0).permutation(ROWS).tolist()
    getter = {"index_getter": lambda sample: sample[2], "start": 8, "stop": 17}
    samples = [(INPUTS[index], LABELS[index], index) for index in order]
    columns = (INPUTS[order], LABELS[order], np.asarray(order))
    for dataset in (samples, iter(samples), columns):
        assert set(range(8, 17)) <= set(found(dataset, **getter)) <= set(range(17))


def test_the_length_is_what_the_dataset_announces():
    assert iterate_batches((INPUTS, LABELS), 4, start=8, stop=12).length == ROWS
    assert iterate_batches(Sequence(), 4, start=8, stop=12).length == ROWS


def test_a_generator_that_is_left_early_is_closed():
    closed = []

    def samples():
        try:
            yield from stream()
        finally:
            closed.append(True)

    found(samples(), stop=3)
    assert closed == [True]
