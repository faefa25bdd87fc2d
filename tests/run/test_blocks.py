"""Small batches are checked, and handed on, many at once: nothing may get lost or be blamed on the wrong row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError, checking
from probly.data_generator.checking import Collected, Group, in_groups
from probly.data_generator.run.sinks import MemorySink

ROWS = np.random.default_rng(0).dirichlet(np.ones(3), 90).astype(np.float32)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Let groups end by their size alone."""
    monkeypatch.setattr(checking, "LONGEST_WAIT", 1e9)
    monkeypatch.setattr(checking, "MOST_NUMBERS", 75)


def run(dataset, model=lambda batch: batch, progress=False, **options):
    generator = FirstOrderDataGenerator(model, batch_size=5, output_mode="probs", backend="numpy", **options)
    return generator.generate_distributions(dataset, progress=progress)


@pytest.mark.parametrize("progress", [False, lambda now: None], ids=["joined", "one by one"])
def test_rows_and_labels_arrive_in_any_number_of_groups(progress):
    labels = np.arange(90) % 7
    distributions = run((ROWS, labels), progress=progress)
    np.testing.assert_array_equal(distributions.probabilities, ROWS)
    np.testing.assert_array_equal(distributions.labels, labels)
    np.testing.assert_array_equal(distributions.indices, range(90))


def test_labels_of_another_kind_in_the_middle_are_kept():
    samples = [(row, "a" if number < 40 else "longer") for number, row in enumerate(ROWS)]
    np.testing.assert_array_equal(run(samples).labels, ["a"] * 40 + ["longer"] * 50)
    mixed = [(row, number if number < 40 else np.zeros(2)) for number, row in enumerate(ROWS)]
    assert run(mixed).labels is None


def test_shuffled_rows_land_under_their_index():
    order = np.random.default_rng(1).permutation(90)
    samples = [(ROWS[index], index) for index in order]
    distributions = run(samples, index_getter=lambda sample: sample[1], input_getter=lambda sample: sample[0])
    np.testing.assert_array_equal(distributions.probabilities, ROWS)


@pytest.mark.parametrize("bad", [0, 3, 27, 44, 88])
def test_a_bad_row_is_blamed_on_its_own_batch_and_index(bad):
    rows = ROWS.copy()
    rows[bad, 1] = np.nan
    with pytest.raises(InvalidOutputError, match=rf"batch {bad // 5}, index {bad}: .* not finite"):
        run(rows)


def test_another_number_of_classes_is_found_between_the_batches_of_a_group():
    def model(batch):
        return batch if batch[0, 0] != ROWS[20, 0] else np.full((5, 4), 0.25)

    with pytest.raises(InvalidOutputError, match="index 20: expected 3 classes as before, got 4"):
        run(ROWS, model)


def test_what_was_collected_before_an_error_is_handed_on_first():
    def failing():
        for number in range(3):
            yield Collected(number, np.arange(2), None, [ROWS[:2]])
        raise KeyError("the model failed")

    groups = in_groups(failing())
    assert [part.number for part, _ in next(groups).parts] == [0]
    assert [part.number for part, _ in next(groups).parts] == [1, 2]
    with pytest.raises(KeyError):
        next(groups)


def test_rows_that_wait_are_copies_and_those_of_a_large_batch_are_not():
    small, large = ROWS[:2].copy(), ROWS[:30].copy()
    groups = in_groups(
        [Collected(number, np.arange(len(rows)), None, [rows]) for number, rows in enumerate((small, large))]
    )
    group = next(groups)
    small[:] = 0
    np.testing.assert_array_equal(group.rows, ROWS[:2])
    assert np.shares_memory(next(groups).rows, large)


def test_many_rows_without_classes_are_refused_like_few():
    for rows in (5, 40_000):
        generator = FirstOrderDataGenerator(
            lambda batch: batch[:, :0], batch_size=rows, output_mode="probs", backend="numpy"
        )
        with pytest.raises(InvalidOutputError, match="it has no classes"):
            generator.generate_distributions(np.zeros((rows, 3), np.float32), progress=False)


@pytest.mark.parametrize("second", [ROWS[:50], ROWS[:2, :2]], ids=["too long", "fewer classes"])
def test_what_does_not_fit_into_a_group_is_the_next_one(second):
    first = Collected(0, np.arange(3), None, [ROWS[:3]])
    group = Group()
    assert group.add(first)
    assert not group.add(Collected(1, np.arange(len(second)), None, [second]))
    np.testing.assert_array_equal(group.rows, ROWS[:3])
    groups = [
        group.rows.copy() for group in in_groups([first, first, Collected(2, np.arange(len(second)), None, [second])])
    ]
    np.testing.assert_array_equal(groups[-1], second)


@pytest.mark.parametrize("labels", [[None, np.arange(2)], [np.arange(2), np.arange(3)], [[1, 2], [3, 4]]])
def test_batches_that_do_not_fit_together_are_not_joined(labels):
    group = Group()
    for number, part in enumerate(labels):
        group.add(Collected(number, np.arange(2), part, [ROWS[:2]]))
    assert group.joined() is None


# Memory that the sink lends


def sink_with(count, capacity):
    sink = MemorySink(capacity)
    if count:
        sink.add(np.arange(count), ROWS[:count], None)
    return sink


def test_rows_of_another_number_of_classes_are_not_added():
    sink = sink_with(10, 40)
    with pytest.raises(InvalidOutputError, match="index 10: expected 3 classes as before, got 2"):
        sink.add(np.arange(10, 20), ROWS[10:20, :2], None)
    assert sink.count == 10


@pytest.mark.parametrize("count", [0, 10])
def test_rows_are_written_once_to_where_they_stay(count):
    sink = sink_with(count, 40)
    parts = [ROWS[count:20], ROWS[20:40]]
    group = next(in_groups([Collected(0, np.arange(count, 40), None, parts)], sink.room))
    assert np.shares_memory(group.rows, sink.rows)
    assert sink.count == count  # what was written does not count before it has been checked and added
    sink.add(group.joined().indices, group.rows, None)
    np.testing.assert_array_equal(sink.finish({}).probabilities, ROWS[:40])


@pytest.mark.parametrize(
    ("sink", "rows"),
    [(sink_with(0, 0), ROWS[:10]), (sink_with(10, 19), ROWS[:10]), (sink_with(10, 40), ROWS[:10, :2])],
    ids=["none announced", "too little", "other classes"],
)
@pytest.mark.parametrize("parts", [1, 3])
def test_where_there_is_no_room_rows_have_memory_of_their_own(sink, rows, parts):
    before = None if sink.rows is None else sink.rows[: sink.count].copy()
    group = next(in_groups([Collected(0, np.arange(10), None, np.array_split(rows, parts))], sink.room))
    np.testing.assert_array_equal(group.rows, rows)
    if before is not None:
        assert not np.shares_memory(group.rows, sink.rows)
        np.testing.assert_array_equal(sink.rows[: sink.count], before)


@given(
    st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=1, max_size=12),
    st.integers(0, 400),
    st.integers(1, 400),
    st.booleans(),
)
def test_rows_end_in_their_order_whatever_room_there_is(sizes, announced, numbers, one_by_one):
    """A batch is a list of sizes of its parts; the dataset may announce too few or too many rows."""
    total = sum(map(sum, sizes))
    rows = np.random.default_rng(total).random((total, 3), np.float32)
    cuts = np.cumsum([0, *map(sum, sizes)])
    batches = (
        Collected(number, np.arange(start, stop), None, np.split(rows[start:stop], np.cumsum(parts)[:-1]))
        for number, (start, stop, parts) in enumerate(zip(cuts, cuts[1:], sizes, strict=False))
    )
    sink = MemorySink(announced)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "MOST_NUMBERS", numbers)
        for group in in_groups(batches, sink.room):
            if one_by_one:
                for part, stop in group.parts:
                    sink.add(part.indices, group.rows[stop - len(part.indices) : stop], None)
            else:
                sink.add(group.joined().indices, group.rows, None)
    found = sink.finish({})
    np.testing.assert_array_equal(found.probabilities, rows)
    np.testing.assert_array_equal(found.indices, np.arange(total))
