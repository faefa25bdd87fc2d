"""Every row of a dataset lands under its own index, or the run is refused."""

from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import AlignmentError, FirstOrderDataGenerator, SimpleDataLoader
from probly.data_generator.run.sinks import MemorySink
from tests.toolkit.datasets import EXPECTED, LOGITS, ROWS, Loader, MapStyle, check, run


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


@pytest.mark.parametrize("announced", [18, 25])
def test_a_wrong_length_is_reported_and_costs_no_row(announced):
    with pytest.warns(UserWarning, match=f"generated 20 distributions, but dataset length is {announced}"):
        check(run(StreamWithLength(announced), batch_size=7))


def test_a_length_that_no_memory_has_room_for_costs_no_row():
    sink = MemorySink()
    sink.begin(2**22, {}, "probs", 2**60, {})
    rows = np.zeros((1, 2**22), np.float32)
    rows[0, 7] = 1
    sink.write(np.arange(1), rows, {})
    assert sink.finish()[0].argmax() == 7


def test_a_right_length_and_no_length_are_not_reported():
    check(run(StreamWithLength(ROWS), batch_size=7))
    check(run(Stream(), batch_size=7))


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
        ("table.csv", "got str; read the file, and pass what it holds"),
        (Path("table.csv"), "Path; read the file, and pass what it holds"),
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


def test_index_getter_must_not_give_two_samples_one_index():
    with pytest.raises(AlignmentError, match="index_getter returned the index 0 for 10 samples"):
        run([(row, index % 2) for index, row in enumerate(LOGITS)], index_getter=lambda sample: sample[1])


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
    labels = pd.Series(np.where(LOGITS[:, 0] > 0, "up", "down"), index=np.arange(ROWS)[::-1] + 1)
    pipeline = make_pipeline(ColumnTransformer([("scale", StandardScaler(), ["x", "y"])]), LogisticRegression())
    pipeline.fit(table, labels.to_numpy())
    distributions = FirstOrderDataGenerator(pipeline, batch_size=6).generate_distributions((table, labels))
    np.testing.assert_allclose(distributions.probabilities, pipeline.predict_proba(table), atol=1e-6)
    assert distributions.labels.tolist() == labels.tolist()
    assert distributions.class_names == ["down", "up"]


@pytest.mark.parametrize("wrap", [lambda row: row, lambda row: (row, 0), lambda row: {"x": row}])
def test_a_stream_may_fill_the_same_array_for_each_sample(wrap):
    def samples():
        row = np.zeros_like(LOGITS[0])
        for one in LOGITS:
            row[:] = one
            yield wrap(row)

    getter = (lambda sample: sample["x"]) if isinstance(wrap(0), dict) else None
    check(run(samples(), input_getter=getter))
