"""Inputs by name for runtimes of stored graphs, and batches in parts; tests/onnx_backend has the messages."""

from typing import NamedTuple

import numpy as np
import pytest

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.toolkit.feeds import Input, channels_of, columns_of, feeds_of, fixed_rows, run_in_parts

FLOAT = np.dtype(np.float32)


def wanted(name, *shape, dtype=FLOAT):
    return Input(name, "f32", dtype, shape)


class Pair(NamedTuple):
    right: object
    left: object


LEFT, RIGHT = np.zeros((4, 2), np.float32), np.ones((4, 3), np.float32)
BOTH = [wanted("left", None, 2), wanted("right", None, 3)]


@pytest.mark.parametrize(
    "given",
    [
        (LEFT, RIGHT),
        {"right": RIGHT, "left": LEFT},
        {"right": RIGHT, "left": LEFT, "label": np.arange(4)},
        Pair(RIGHT, LEFT),
        (LEFT.astype(np.float64), RIGHT.astype(">f4")),
    ],
    ids=["in order", "by name", "with a label", "fields", "other floats"],
)
def test_inputs_come_by_name_or_in_order(given):
    found = feeds_of(given, BOTH)
    assert list(found) == ["left", "right"]
    for array, expected in zip(found.values(), (LEFT, RIGHT), strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == FLOAT


def test_an_input_that_is_called_label_is_fed():
    labels = np.arange(4)
    found = feeds_of({"x": LEFT, "label": labels}, [wanted("x", None, 2), wanted("label", None, dtype=labels.dtype)])
    assert found["label"] is labels


@pytest.mark.parametrize("given", [(RIGHT, LEFT), {"left": LEFT}, {"left": LEFT, "right": RIGHT, "more": LEFT}, LEFT])
def test_other_inputs_are_refused(given):
    with pytest.raises(ValueError, match="input"):
        feeds_of(given, BOTH)


def test_a_conversion_of_ones_own_is_asked():
    found = feeds_of(LEFT + 0.5, [wanted("x", None, 2)], lambda array, one: (array * 2).astype(one.dtype))
    np.testing.assert_array_equal(found["x"], np.ones((4, 2)))


@pytest.mark.parametrize("rows", range(1, 12))
@pytest.mark.parametrize(("most", "least"), [(1, None), (4, None), (20, None), (4, 1), (4, 3), (20, 1)])
def test_parts_are_as_large_as_the_model_takes_and_join_to_the_whole(rows, most, least):
    sizes = []

    def run(feeds):
        sizes.append(len(feeds["x"]))
        return [feeds["x"] * 2, [{"row": row} for row in feeds["x"]]]

    doubled, entries = run_in_parts(run, {"x": np.arange(rows)}, most, least)
    assert doubled.tolist() == [2 * row for row in range(rows)]
    assert entries == [{"row": row} for row in range(rows)]
    assert all((least or most) <= size <= most for size in sizes)
    assert sum(sizes) - rows < (least or most)


@pytest.mark.parametrize("answer", [lambda x: x[:1], lambda x: x[:1].tolist(), lambda x: x.sum()])
def test_an_output_without_a_row_per_input_is_never_cut_to_the_right_number(answer):
    with pytest.raises(InvalidOutputError, match="expected 4 rows, got"):
        run_in_parts(lambda feeds: [answer(feeds["x"])], {"x": np.arange(5)}, 4)


def test_what_shapes_tell():
    assert fixed_rows([wanted("a", 4, 2), wanted("b", "N", 3), wanted("c")]) == 4
    assert fixed_rows(BOTH) is None
    with pytest.raises(ValueError, match="different fixed numbers of rows"):
        fixed_rows([wanted("a", 4, 2), wanted("b", 3, 2)])
    assert channels_of([wanted("x", None, 3, 8, 8)]) == "first"
    assert channels_of([wanted("x", None, 3, 8, 3)]) is None
    assert channels_of([wanted("x", None, 8, 8, 1), wanted("y", None)]) is None
    assert columns_of([wanted("age", None, 1), wanted("dose", None, 1)]) == ["age", "dose"]
    assert columns_of(BOTH) is None
