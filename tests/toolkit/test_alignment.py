"""Every row lands under its own index, or the run is refused."""

import numpy as np
import pytest

from probly.data_generator import AlignmentError, FirstOrderDataGenerator, SimpleDataLoader, hookimpl
from probly.data_generator.testing import reference

ROWS = 20
LOGITS = reference.samples(rows=ROWS, shape=(3,))[0]
EXPECTED = reference.softmax(LOGITS)


def run(dataset, **options):
    generator = FirstOrderDataGenerator(np.asarray, backend="numpy", output_mode="logits", **options)
    return generator.generate_distributions(dataset, progress=False)


def check(distributions, indices=None):
    indices = np.arange(ROWS) if indices is None else indices
    np.testing.assert_array_equal(distributions.indices, indices)
    np.testing.assert_allclose(distributions.probabilities, EXPECTED[indices], rtol=0, atol=1e-6)


class MapStyle:
    def __init__(self, length=ROWS):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return LOGITS[index], index


class Bulk(MapStyle):
    def __getitem__(self, index):
        raise AssertionError("fetched one by one")

    def __getitems__(self, indices):
        return [(LOGITS[index], index) for index in indices]


class Stream:
    def __init__(self, announced=None):
        self.announced = announced

    def __iter__(self):
        return ((LOGITS[index], index) for index in range(ROWS))


class StreamWithLength(Stream):
    def __len__(self):
        return self.announced


class Loader:
    """A loader of the common shape: a dataset and a batch_sampler, collating to lists."""

    num_workers = 0

    def __init__(self, batches, dataset=None):
        self.dataset = MapStyle() if dataset is None else dataset
        self.batch_sampler = batches
        self.sampler = None

    def collate(self, chosen):
        return [LOGITS[chosen], np.asarray(chosen)]

    def __iter__(self):
        for chosen in self.batch_sampler:
            yield self.collate(chosen)


@pytest.mark.parametrize(
    "dataset",
    [
        LOGITS,
        (LOGITS,),
        (LOGITS, np.arange(ROWS)),
        [(row, 0) for row in LOGITS],
        list(LOGITS),
        MapStyle(),
        Bulk(),
        Stream(),
        Loader([range(5), range(5, 12), range(12, ROWS)]),
    ],
    ids=lambda dataset: type(dataset).__name__,
)
def test_every_kind_of_dataset(dataset):
    check(run(dataset, batch_size=7))


def test_a_memory_mapped_array_is_a_dataset(tmp_path):
    np.save(tmp_path / "logits.npy", LOGITS)
    check(run(np.load(tmp_path / "logits.npy", mmap_mode="r"), batch_size=7))


def test_one_shot_iterators():
    check(run(iter(LOGITS), batch_size=7))
    check(run((row for row in LOGITS), batch_size=7))


def test_a_mapping_of_arrays_is_one_input():
    generator = FirstOrderDataGenerator(
        lambda batch: batch["left"] + batch["right"], backend="numpy", output_mode="logits", batch_size=7
    )
    check(generator.generate_distributions({"left": LOGITS, "right": np.zeros_like(LOGITS)}))


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


@pytest.mark.parametrize("announced", [18, 25])
def test_a_wrong_length_is_reported_and_costs_no_row(announced):
    with pytest.warns(UserWarning, match=f"generated 20 distributions, but dataset length is {announced}"):
        check(run(StreamWithLength(announced), batch_size=7))


def test_a_right_length_and_no_length_are_not_reported():
    check(run(StreamWithLength(ROWS), batch_size=7))
    check(run(Stream(), batch_size=7))


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


def test_a_bulk_fetch_that_drops_a_sample_is_refused():
    class Drops(Bulk):
        def __getitems__(self, indices):
            return super().__getitems__(indices)[:-1]

    with pytest.raises(AlignmentError, match="expected 7 samples, got 6"):
        run(Drops(), batch_size=7)


@pytest.mark.parametrize("unordered", [set(range(3)), frozenset([1])])
def test_unordered_iterables_are_refused(unordered):
    with pytest.raises(AlignmentError, match=r"order of a .*set is not defined"):
        run(unordered)


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


def test_index_getter_reads_the_index_from_samples_and_batches():
    order = np.random.default_rng(0).permutation(ROWS)
    samples = [(LOGITS[index], 0, int(index)) for index in order]
    check(run(iter(samples), index_getter=lambda sample: sample[2], batch_size=7))
    batches = [(LOGITS[part], part) for part in np.split(order, 4)]
    check(run(batches, index_getter=lambda batch: batch[1], batched=True))


@pytest.mark.parametrize("wrong", [-1, 0.5, "a"])
def test_index_getter_must_return_indices(wrong):
    with pytest.raises(AlignmentError, match="expected integers of at least 0"):
        run([(LOGITS[0], 0)], index_getter=lambda sample: wrong)


def test_large_sparse_indices_cost_no_memory():
    samples = [(row, 0, 10**12 + index) for index, row in enumerate(LOGITS)]
    distributions = run(samples, index_getter=lambda sample: sample[2])
    np.testing.assert_allclose(distributions[10**12 + 3], EXPECTED[3], atol=1e-6)
    with pytest.raises(KeyError):
        distributions[3]


def test_datasets_without_length_or_iteration_are_refused():
    class OnlyItems:
        def __getitem__(self, index):
            return LOGITS[0]

    for dataset, says in (
        (OnlyItems(), "give it __len__"),
        ({"a": 1}, "got dict"),
        (7, "got int"),
        ("text", "got str"),
    ):
        with pytest.raises(TypeError, match=says):
            run(dataset)


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(TypeError, match=r"same number of rows, got \[\(20, 3\), \(19,\)\]"):
        run((LOGITS, np.arange(19)))


def test_a_tuple_is_columns_and_a_list_is_samples():
    check(run((LOGITS, list(range(ROWS)))))
    with pytest.raises(TypeError, match=r"read as \(inputs, labels\).*got \['tuple', 'tuple'\]; pass a list"):
        run((("a", 0), ("b", 1)))


def test_a_sample_that_cannot_be_read_names_its_index():
    class Fails(MapStyle):
        def __getitem__(self, index):
            if index == 13:
                raise OSError("damaged")
            return super().__getitem__(index)

    with pytest.raises(OSError, match="damaged") as caught:
        run(Fails(), batch_size=7)
    assert "raised by the dataset's sample 13" in caught.value.__notes__


def test_samples_of_different_shapes_arrive_as_a_list():
    seen = []

    def model(batch):
        seen.append(type(batch))
        return [[1.0, 2.0] for _ in batch]

    generator = FirstOrderDataGenerator(model, backend="numpy", output_mode="logits")
    assert len(generator.generate_distributions([np.zeros(2), np.zeros(3)])) == 2
    assert seen == [list]


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, "8"])
def test_batch_sizes_are_checked(batch_size):
    with pytest.raises(ValueError, match="batch_size: expected an integer of at least 1"):
        FirstOrderDataGenerator(abs, backend="numpy", batch_size=batch_size)


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


def test_index_getter_must_not_give_two_samples_one_index():
    with pytest.raises(AlignmentError, match="index_getter returned the index 0 for 10 samples"):
        run([(row, index % 2) for index, row in enumerate(LOGITS)], index_getter=lambda sample: sample[1])


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


def test_tables_are_read_by_position():
    import pandas as pd

    order = np.random.default_rng(0).permutation(ROWS)
    table = pd.DataFrame(LOGITS, columns=["a", "b", "c"], index=order)
    labels = pd.Series(np.arange(ROWS), index=order)
    generator = FirstOrderDataGenerator(
        lambda batch: batch[["a", "b", "c"]].to_numpy(), backend="numpy", output_mode="logits", batch_size=7
    )
    for dataset in ((table, labels), SimpleDataLoader((table, labels), batch_size=6, shuffle=True)):
        distributions = generator.generate_distributions(dataset)
        check(distributions)
        np.testing.assert_array_equal(distributions.labels, np.arange(ROWS))
    check(generator.generate_distributions(table))


def test_pipelines_pick_columns_by_name():
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = pd.DataFrame({"x": LOGITS[:, 0], "y": LOGITS[:, 1], "text": ["?"] * ROWS})
    labels = pd.Series(np.where(LOGITS[:, 0] > 0, "up", "down"), index=np.arange(ROWS)[::-1])
    pipeline = make_pipeline(ColumnTransformer([("scale", StandardScaler(), ["x", "y"])]), LogisticRegression())
    pipeline.fit(table, labels.to_numpy())
    distributions = FirstOrderDataGenerator(pipeline, batch_size=6).generate_distributions((table, labels))
    np.testing.assert_allclose(distributions.probabilities, pipeline.predict_proba(table), atol=1e-6)
    assert distributions.labels.tolist() == labels.tolist()
    assert distributions.class_names == ["down", "up"]


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
