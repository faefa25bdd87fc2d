"""Rows of a loader land under the index that its sampler chose, or the run is refused."""

import numpy as np
import pytest

from probly.data_generator import AlignmentError, FirstOrderDataGenerator, SimpleDataLoader, hookimpl
from probly.data_generator.testing import reference
from tests.toolkit.datasets import LOGITS, ROWS, Loader, MapStyle, check, run


@pytest.mark.parametrize("seed", range(5))
def test_shuffling_loaders_land_under_the_right_index(seed):
    distributions = run(SimpleDataLoader((LOGITS, np.arange(ROWS)), batch_size=6, shuffle=True, seed=seed))
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, np.arange(ROWS))


def test_the_callers_loader_is_not_touched():
    loader = SimpleDataLoader(MapStyle(), batch_size=6, shuffle=True)
    sampler = loader.batch_sampler
    run(loader)
    assert loader.batch_sampler is sampler


def test_a_partial_sampler_reports_what_is_missing():
    with pytest.warns(UserWarning, match="generated 6 distributions, but dataset length is 20"):
        distributions = run(Loader([[3, 1, 17], [8, 9, 2]]))
    check(distributions, [1, 2, 3, 8, 9, 17])
    with pytest.raises(KeyError, match="No distribution for index 4"):
        distributions[4]


def test_drop_last_is_reported():
    with pytest.warns(UserWarning, match="generated 18 distributions, but dataset length is 20"):
        check(run(Loader([range(9), range(9, 18)])), np.arange(18))


def test_samplers_that_repeat_rows_keep_one_per_index():
    with (
        pytest.warns(UserWarning, match="repeated 2 of 6 rows"),
        pytest.warns(UserWarning, match="generated 4 distributions"),
    ):
        distributions = run(Loader([[5, 1, 5], [7, 1, 0]]))
    check(distributions, [0, 1, 5, 7])


def test_a_collate_function_that_drops_a_sample_is_refused():
    class Drops(Loader):
        def collate(self, chosen):
            return super().collate(list(chosen)[:-1])

    with pytest.raises(AlignmentError, match=r"batch 0: expected 9 indices, one per row, got the shape \(10,\)"):
        run(Drops([range(10), range(10, ROWS)]))


def test_iterables_read_by_several_workers_are_refused():
    class Counts(Loader):
        num_workers = 2

        def collate(self, chosen):
            return LOGITS[:10]

    with pytest.raises(AlignmentError, match="2 workers arrives in no defined order"):
        run(Counts([[None] * 10, [None] * 10]))


def test_whole_batches_as_samples_are_refused():
    class Whole(Loader):
        def __iter__(self):
            for index in self.sampler:
                yield LOGITS[index : index + 5]

    loader = Whole(None)
    loader.sampler = range(0, ROWS, 5)
    with pytest.raises(AlignmentError, match="batch_size=None"):
        run(loader)


class Ahead(Loader):
    """Skips the first batches of its sampler, as loaders that resume an epoch do."""

    def __iter__(self):
        for number, chosen in enumerate(self.batch_sampler):
            if number >= 2:
                yield self.collate(chosen)


class Caching(Loader):
    """Hands out batches that it kept from another epoch."""

    def __iter__(self):
        for chosen in ([5, 3], [1, 0]):
            yield self.collate(chosen)


@pytest.mark.parametrize(
    ("loader", "says"),
    [
        (Ahead(np.split(np.arange(ROWS)[::-1], 4)), "Ahead: 2 batches of its sampler were not handed out"),
        (Caching([[0, 1], [2, 3]]), "Caching: batch 0 did not come from its sampler"),
    ],
)
def test_loaders_that_do_not_follow_their_sampler_are_refused(loader, says):
    with pytest.raises(AlignmentError, match=says):
        run(loader)


def test_samplers_may_reuse_their_list():
    """The choice is copied when it is made: the loader reads ahead of the run."""

    class Reuses:
        def __iter__(self):
            chosen = []
            for start in range(0, ROWS, 5):
                chosen[:] = range(start, start + 5)
                yield chosen

    class ReadsAhead(Loader):
        def __iter__(self):
            return iter([self.collate(list(chosen)) for chosen in self.batch_sampler])

    check(run(ReadsAhead(Reuses())))


@pytest.mark.parametrize("kind", [np.int64, np.array])
def test_numpy_scalars_of_a_sampler_are_single_indices(kind):
    class Whole(Loader):
        def __iter__(self):
            for index in self.sampler:
                yield LOGITS[int(index) : int(index) + 5]

    loader = Whole(None)
    loader.sampler = [kind(index) for index in range(0, ROWS, 5)]
    with pytest.raises(AlignmentError, match="batch_size=None"):
        run(loader)


def test_the_twin_of_a_loader_reads_in_order_and_leaves_no_workers():
    from probly.data_generator.toolkit.loaders import record_indices

    loader = Loader([[0]])
    loader.in_order, loader.persistent_workers, loader._iterator = False, True, object()
    twin, _ = record_indices(loader)
    assert (twin.in_order, twin.persistent_workers, twin._iterator) == (True, False, None)
    assert (loader.in_order, loader.persistent_workers) == (False, True)


def test_a_sampler_that_repeats_keeps_the_first_row():
    class Noisy(Loader):
        def collate(self, chosen):
            return [LOGITS[list(chosen)] + 10 * len(chosen) * np.eye(3)[0], np.asarray(chosen)]

    with pytest.warns(UserWarning, match="kept the first"), pytest.warns(UserWarning, match="generated 2"):
        distributions = run(Noisy([[5], [5, 1]]))
    np.testing.assert_allclose(distributions[5], reference.softmax(LOGITS[5] + 10 * np.eye(3)[0]), atol=1e-6)


def test_empty_batches_are_no_batches():
    batches = [(LOGITS[:0], np.arange(0)), (LOGITS[:9], np.arange(9)), (LOGITS[9:], np.arange(9, ROWS))]
    distributions = run(batches, batched=True)
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, np.arange(ROWS))


def test_a_simple_loader_of_samples_that_do_not_stack():
    """Its batches are lists of samples, not pairs, and the samples may share a length of their own."""
    samples = [np.full((4, width), width, np.float32) for width in range(1, 7)]
    generator = FirstOrderDataGenerator(
        lambda batch: np.array([[sample.mean(), 0.0] for sample in batch]), backend="numpy", output_mode="logits"
    )
    distributions = generator.generate_distributions(SimpleDataLoader(samples, batch_size=2))
    expected = reference.softmax([[width, 0] for width in range(1, 7)])
    np.testing.assert_allclose(distributions.probabilities, expected, atol=1e-6)


class Refilled:
    """A loader that fills the same memory for every batch, and reads one batch ahead."""

    def __init__(self, rows, size=4):
        self.rows, self.size = rows, size

    def __iter__(self):
        inputs, indices = np.empty((self.size, self.rows.shape[1]), np.float32), np.empty(self.size, np.int64)
        for start in range(0, len(self.rows), self.size):
            inputs[:], indices[:] = self.rows[start : start + self.size], range(start, start + self.size)
            yield {"input": inputs, "index": indices}
        indices[:] = range(self.size)  # of the next epoch


def test_a_loader_may_fill_its_memory_again():
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 24).astype(np.float32)
    getters = {"input_getter": lambda batch: batch["input"], "index_getter": lambda batch: batch["index"]}
    generator = FirstOrderDataGenerator(
        lambda batch: batch, backend="numpy", output_mode="probs", batched=True, **getters
    )
    distributions = generator.generate_distributions(Refilled(rows), progress=False)
    np.testing.assert_array_equal(distributions.indices, range(24))
    np.testing.assert_array_equal(distributions.probabilities, rows)


def test_a_batch_that_is_computed_again_late_has_its_own_inputs():
    """Asynchronous devices say that memory did not suffice when the next batch has been read."""
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 24).astype(np.float32)

    class Late:
        calls = 0

        @hookimpl(wrapper=True)
        def to_device(self, device):
            answer = yield
            self.calls += device == "host"
            if device == "host" and self.calls == 2:
                raise MemoryError
            return answer

    getters = {"input_getter": lambda batch: batch["input"], "index_getter": lambda batch: batch["index"]}
    generator = FirstOrderDataGenerator(
        lambda batch: batch, backend="numpy", output_mode="probs", batched=True, wrappers=[Late()], **getters
    )
    with pytest.warns(UserWarning, match="out of memory"):
        distributions = generator.generate_distributions(Refilled(rows), progress=False)
    np.testing.assert_array_equal(distributions.probabilities, rows)
