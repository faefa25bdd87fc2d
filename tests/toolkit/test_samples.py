"""What a sample is, what a batch is, and how many rows it has; and what a message says where nobody can know."""

import tracemalloc

import numpy as np
import pytest

from probly.data_generator import AlignmentError, FirstOrderDataGenerator, SimpleDataLoader
from probly.data_generator.toolkit.batches import iterate_batches
from probly.data_generator.toolkit.nests import Samples, columns, take_rows
from probly.data_generator.toolkit.parts import split_sample
from probly.data_generator.toolkit.reading import rows_of_batch
from tests.toolkit.datasets import LOGITS, ROWS, Loader, check, run

MASK = np.ones(ROWS, np.float32)
LABELS = np.arange(ROWS)
TRIPLES = [(row, mask, label) for row, mask, label in zip(LOGITS, MASK, LABELS, strict=True)]
FIRST, LAST = (lambda sample: sample[0]), (lambda sample: sample[2])
BATCHES = [(LOGITS[start : start + 5], LABELS[start : start + 5]) for start in range(0, ROWS, 5)]


# Tuples and mappings


@pytest.mark.parametrize(
    "dataset",
    [TRIPLES, iter(TRIPLES), (LOGITS, MASK, LABELS), SimpleDataLoader(TRIPLES, batch_size=6)],
    ids=["list", "iterator", "columns", "loader"],
)
def test_three_parts_are_never_guessed_at(dataset):
    with pytest.raises(ValueError, match=r"3 parts \(ndarray of shape .*set input_getter, .*and label_getter"):
        run(dataset)


@pytest.mark.parametrize("dataset", [TRIPLES, (LOGITS, MASK, LABELS), SimpleDataLoader(TRIPLES, batch_size=6)])
def test_getters_say_what_the_parts_are(dataset):
    distributions = run(dataset, input_getter=FIRST, label_getter=LAST)
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS)


def test_without_label_getter_three_parts_have_no_label_and_the_run_says_so():
    with pytest.warns(UserWarning, match="label_getter is not: .*3 parts"):
        distributions = run(TRIPLES, input_getter=FIRST)
    check(distributions)
    assert distributions.labels is None


def test_a_part_that_is_an_input_is_no_label():
    samples = [(mask, row) for row, mask in zip(LOGITS, MASK, strict=True)]
    with pytest.warns(UserWarning, match="2 parts"):
        distributions = run(samples, input_getter=lambda sample: sample[1])
    check(distributions)
    assert distributions.labels is None


def test_a_third_part_that_is_the_index_is_neither_input_nor_label():
    order = np.random.default_rng(0).permutation(ROWS).tolist()
    distributions = run([(LOGITS[index], index % 3, index) for index in order], index_getter=LAST)
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS % 3)
    with pytest.raises(ValueError, match="3 parts"):
        run([(LOGITS[index], index, 7) for index in order], index_getter=lambda sample: sample[1])


@pytest.mark.parametrize("key", ["label", "labels"])
def test_mappings_have_their_label_under_its_name(key):
    def model(batch):
        return batch["logits"]

    samples = [{"logits": row, key: label} for row, label in zip(LOGITS, LABELS, strict=True)]
    generator = FirstOrderDataGenerator(model, backend="numpy", output_mode="logits", batch_size=7)
    for dataset in (samples, {"logits": LOGITS, key: LABELS.tolist()}, SimpleDataLoader(samples, 6, shuffle=True)):
        distributions = generator.generate_distributions(dataset, progress=False)
        check(distributions)
        np.testing.assert_array_equal(distributions.labels, LABELS)
    picked = run(samples, input_getter=lambda sample: sample["logits"])
    np.testing.assert_array_equal(picked.labels, LABELS)
    other = run(samples, input_getter=lambda sample: sample["logits"], label_getter=lambda sample: 7)
    np.testing.assert_array_equal(other.labels, np.full(ROWS, 7))


def test_two_keys_of_labels_are_not_chosen_from():
    with pytest.raises(ValueError, match=r"both 'label' and 'labels'; set label_getter"):
        split_sample({"x": 1, "label": 2, "labels": 3})


def test_columns_of_different_lengths_are_named_with_them():
    with pytest.raises(TypeError, match=r"same number of rows in each, got \{'a': 8, 'text': 7\}"):
        run({"a": np.zeros(8), "text": ["x"] * 7})
    with pytest.raises(TypeError, match=r"got \['list of 2', \(3,\)\]"):
        run((["a", "b"], np.zeros(3)))


OLD_BACKEND = """
from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.numpy_backend.backend import forward, load_model
from probly.data_generator.toolkit import batches

@hookimpl
def iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop):
    return batches.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop)
"""


def test_a_backend_without_label_getter_works_and_is_refused_by_name_with_one(tmp_path, monkeypatch):
    (tmp_path / "abacus_backend.py").write_text(OLD_BACKEND)
    info = tmp_path / "abacus-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[probly.data_generator.backends]\nabacus = abacus_backend\n")
    monkeypatch.syspath_prepend(tmp_path)
    generator = FirstOrderDataGenerator(np.asarray, backend="abacus", output_mode="logits")
    check(generator.generate_distributions((LOGITS, LABELS), progress=False))
    with pytest.raises(ValueError, match="backend 'abacus' takes no label_getter: its hook iterate_batches"):
        FirstOrderDataGenerator(np.asarray, backend="abacus", label_getter=LAST)


# Batches


TEXTS = [(list("ab"), np.arange(2))], [([["a", "b"], ["c"]], np.arange(2))]


@pytest.mark.parametrize("dataset", [BATCHES, iter(BATCHES), *TEXTS])
def test_batches_are_not_taken_for_samples(dataset):
    with pytest.raises(AlignmentError, match=r"set batched=True .*, batched=False"):
        run(dataset)


def test_what_was_asked_for_is_done():
    check(run(BATCHES, batched=True))
    wide = [(row, row) for row in LOGITS]  # labels as wide as the input
    check(run(wide, batched=False))


class OfBatches:
    """Has no __iter__; its slices never raise IndexError."""

    def __init__(self, broken=None):
        self.broken = broken

    def __len__(self):
        return 4

    def __getitem__(self, number):
        assert number < 4, "asked for more than there is"
        if number == self.broken:
            return [][number]
        return LOGITS[number * 5 : number * 5 + 5]


def test_a_sequence_ends_at_its_length_and_keeps_its_own_errors():
    check(run(OfBatches(), batched=True))
    with pytest.raises(IndexError, match="list index out of range"):
        run(OfBatches(broken=2), batched=True)


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_loader_that_hands_out_lists_of_samples(size, kind):
    """A list of two samples is not inputs and labels."""

    class Lists(Loader):
        def collate(self, chosen):
            return kind((LOGITS[index], int(index)) for index in chosen)

    order = np.random.default_rng(0).permutation(ROWS).tolist()
    distributions = run(Lists([order[start : start + size] for start in range(0, ROWS, size)]))
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS)


def test_two_rows_in_a_list_of_two_alike_are_not_guessed_at():
    class Lists(Loader):
        def collate(self, chosen):
            return [np.stack([LOGITS[index]] * 2) for index in chosen]

    with pytest.raises(AlignmentError, match="may be its samples, or inputs and labels; set input_getter"):
        run(Lists([[0, 1], [2, 3]]))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_getters_get_the_batch_also_where_it_is_a_list_of_samples(size):
    class Lists(Loader):
        def collate(self, chosen):
            return [(LOGITS[index], {"class": int(index)}) for index in chosen]

    loader = Lists([list(range(start, start + size)) for start in range(0, ROWS, size)])
    distributions = run(loader, label_getter=lambda batch: [sample[1]["class"] for sample in batch])
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS)


@pytest.mark.parametrize("size", [2, 5])
def test_an_array_of_labels_for_each_row_is_no_column(size):
    targets = np.eye(ROWS, 3, dtype=int)
    parts = [slice(start, start + size) for start in range(0, ROWS, size)]
    batches = [(LOGITS[part], list(targets[part])) for part in parts]
    for dataset in (batches, Loader([range(ROWS)[part] for part in parts])):
        if isinstance(dataset, Loader):
            dataset.collate = lambda chosen: [LOGITS[list(chosen)], list(targets[list(chosen)])]
        distributions = run(dataset, batched=True)
        check(distributions)
        np.testing.assert_array_equal(distributions.labels, targets)
    with pytest.raises(AlignmentError, match="set batched=True"):
        run(batches)


class Number:
    """A number of a library whose numbers are arrays."""

    dtype, shape = "int64", ()

    def __init__(self, value):
        self.value = value

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.value)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("make", [int, np.int64, np.array, Number])
def test_rows_without_a_label_are_told_from_labels_of_any_library(make, order):
    labels = [None if index % 3 else make(index) for index in range(ROWS)][::order]
    distributions = run(list(zip(LOGITS, labels, strict=True)), batch_size=5)
    assert distributions.labels.tolist() == [-1 if index % 3 else index for index in range(ROWS)][::order]


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_loader_that_turns_samples_into_inputs_and_labels(size, kind):
    class Turns(Loader):
        def collate(self, chosen):
            return kind(map(kind, zip(*self.samples(chosen), strict=True)))

        def samples(self, chosen):
            return [(LOGITS[index], np.eye(ROWS, dtype=int)[[index]]) for index in chosen]

    loader = Turns([list(range(start, start + size)) for start in range(0, ROWS, size)])
    check(run(loader, input_getter=lambda batch: np.stack(batch[0])))
    loader.samples = lambda chosen: [(LOGITS[index], LOGITS[index]) for index in chosen]
    if size == 2:
        with pytest.raises(AlignmentError, match="may be its samples, or inputs and labels; set input_getter"):
            run(loader)
    getters = {"input_getter": lambda batch: np.stack(batch[0]), "label_getter": lambda batch: list(batch[1])}
    check(run(Turns(loader.batch_sampler), **getters))


@pytest.mark.parametrize(
    ("inputs", "labels", "known", "rows"),
    [
        (np.zeros(29), None, 8, 29),  # a collate function that adds rows is noticed
        (np.zeros(29), np.zeros(8), 8, 8),  # joined texts
        ((np.zeros(29), np.zeros(8)), None, 8, 8),
        (object(), None, 8, 8),
        (object(), np.zeros(8), None, 8),
        (np.zeros((8, 2)), ["x", "y", "z"], 8, 8),
        (Samples("abc"), None, None, 3),
        (np.zeros((2, 4)), [np.zeros(3), np.zeros(3)], None, 2),  # a label for each row
        (object(), [np.zeros(3), np.zeros(3)], 2, 2),
        (np.zeros((3, 4)), [np.zeros(3), np.zeros(3)], None, 3),  # two columns of labels
        (np.zeros(29), np.zeros(0), None, 29),
    ],
)
def test_rows_are_counted_by_whoever_knows(inputs, labels, known, rows):
    assert rows_of_batch(inputs, labels, known) == rows


def test_rows_that_nobody_knows_are_refused():
    with pytest.raises(AlignmentError, match=r"nothing tells how many rows .*index_getter"):
        rows_of_batch((np.zeros(29), np.zeros(8)), None, None)


# Texts


def test_texts_in_a_tuple_cost_the_memory_of_the_texts():
    texts = ["x" * 50] * 1000 + ["x" * 100_000]
    tracemalloc.start()
    (found, _) = columns((texts, np.zeros(1001)))
    batch = take_rows(found, slice(900, 1001), 1001)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert batch == texts[900:]
    assert peak < 1_000_000, "an array of text takes 400 MB"


def test_a_list_of_another_length_is_not_cut():
    for nest in (Samples("abc"), list("abc")):
        assert take_rows(nest, slice(1, 3), 3) == ["b", "c"]
        with pytest.raises(TypeError, match="these 4 rows have no common first axis"):
            take_rows(nest, slice(1, 3), 4)


def test_numbers_beside_texts_stay_numbers():
    (rows, _) = columns(([[1, "a"], [2, "b"]], [0, 1]))
    assert rows.tolist() == [[1, "a"], [2, "b"]]


class Rows:
    column_names = ("x", "label")

    def __iter__(self):
        return iter(())


@pytest.mark.parametrize("options", [{}, {"input_getter": lambda sample: sample["x"]}, {"batched": True}])
def test_a_mapping_of_splits_is_no_dataset(options):
    with pytest.raises(AlignmentError, match=r"a dict holds the datasets 'train', 'test', .* as dataset\['test'\]"):
        iterate_batches({"train": Rows(), "test": Rows()}, 2, **options)
