"""Quantised inputs and outputs: what TensorFlow's converter makes, and closed forms of rounding and cutting."""

import warnings

import numpy as np
import pytest

from tests.frameworks.litert import INT8, UINT8, Builder
from tests.litert_backend.runs import CONVERTED, EXPECTED, INPUTS, by_hand, check, refused, run

SOFTMAX = {"kind": "SoftmaxOptions", "beta": 1.0}


def rows_of(integers, zero_point):
    counts = integers.astype(float) - zero_point
    return counts / counts.sum(axis=1, keepdims=True)


def test_a_converted_model_has_the_rows_of_its_weights():
    check(run(CONVERTED["float"]), tolerance=1e-6)


@pytest.mark.parametrize(("name", "zero_point"), [("int8", -128), ("uint8", 0)])
@pytest.mark.parametrize("batch_size", [1, 16, 50])
def test_rows_are_those_of_the_interpreter(name, zero_point, batch_size):
    """Rounded by hand, one row after the other."""
    from ai_edge_litert.interpreter import Interpreter

    content = CONVERTED[name].read_bytes()
    scale, zero = Interpreter(model_content=content).get_input_details()[0]["quantization"]
    limits = np.iinfo(name)
    given = np.clip(np.round(INPUTS / np.float32(scale)) + zero, limits.min, limits.max).astype(name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "input 'features'")
        found = run(CONVERTED[name], batch_size=batch_size)
    check(found, rows_of(by_hand(content, given), zero_point))
    check(found, EXPECTED, tolerance=0.1)
    check(run(CONVERTED[name], given, batch_size=batch_size), found.probabilities)


def test_a_quantised_model_with_floats_outside_has_rows_that_sum_to_one():
    """Its last operator is DEQUANTIZE; the rows of its softmax miss 1 by up to 1/128."""
    raw = by_hand(CONVERTED["inner_int8"].read_bytes(), INPUTS)
    assert np.abs(raw.sum(axis=1) - 1).max() > 1e-3
    found = run(CONVERTED["inner_int8"])
    check(found, raw / raw.sum(axis=1, keepdims=True))
    assert found.meta["output_mode"] == "probs"
    refused(ValueError, "the model returns probabilities, not logits", CONVERTED["inner_int8"], output_mode="logits")
    check(run(CONVERTED["inner_int8"], output_transform=lambda rows: rows), found.probabilities)


def scaled(kind, scale, zero_point, out=None):
    """Return a model that returns its quantised input, requantised to another scale where one is given."""
    made = Builder()
    x = made.tensor("x", [-1, 3], kind, (scale, zero_point))
    y = made.tensor("y", [-1, 3], kind, out or (scale, zero_point))
    shape = [] if out else [made.constant(np.int32([-1, 3]))]
    return made.content({"x": x}, {"y": made.operator("QUANTIZE" if out else "RESHAPE", [x, *shape], y)})


@pytest.mark.parametrize(("kind", "zero_point", "least"), [(INT8, 10, -128), (UINT8, 138, 0)])
def test_floats_are_rounded_and_integers_made_real_by_the_scale(kind, zero_point, least):
    """Halves go away from zero, as LiteRT's own QUANTIZE has it."""
    given = np.array([[0.25, -0.25, 0.75], [0.3, -0.3, 10.0], [0.0, 1.2, -1.2]], np.float32)
    rounded = np.array([[0.5, -0.5, 1.0], [0.5, -0.5, 10.0], [0.0, 1.0, -1.0]])
    seen = []
    run(scaled(kind, 0.5, zero_point), given, output_transform=lambda outputs: seen.append(outputs) or EXPECTED[:3])
    np.testing.assert_array_equal(seen[0], rounded)
    assert seen[0].dtype == np.float32


def test_rounding_is_that_of_the_operator_quantize():
    made = Builder()
    x, y = made.tensor("x", [-1, 5]), made.tensor("y", [-1, 5], INT8, (0.0234, 7))
    operator = made.content({"x": x}, {"y": made.operator("QUANTIZE", [x], y)})
    made = Builder()
    x, y = made.tensor("x", [-1, 5], INT8, (0.0234, 7)), made.tensor("y", [-1, 5], INT8, (0.0234, 7))
    inputs = made.content({"x": x}, {"y": made.operator("RESHAPE", [x, made.constant(np.int32([-1, 5]))], y)})
    found = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "input 'x'")
        for model in (operator, inputs):
            run(model, 3 * INPUTS, output_transform=lambda outputs: found.append(outputs) or EXPECTED[: len(outputs)])
    np.testing.assert_array_equal(np.concatenate(found[:4]), np.concatenate(found[4:]))


def test_numbers_that_do_not_fit_are_cut_and_counted_once():
    given = np.array([[0.0, 200.0, -300.0], [1.0, 2.0, np.inf], [500.0, 0.0, 0.0]], np.float32)
    seen = []
    with pytest.warns(UserWarning, match=r"3 of the 6 numbers of a batch are beyond \[-64, 63.5\]") as caught:
        run(scaled(INT8, 0.5, 0), given, batch_size=2,
            output_transform=lambda outputs: seen.append(outputs) or EXPECTED[: len(outputs)])  # fmt: skip
    assert len(caught) == 1, "of the second batch nothing is said"
    np.testing.assert_array_equal(seen[0], [[0, 63.5, -64], [1, 2, 63.5]])


def test_what_is_no_number_is_refused():
    refused(ValueError, "'x': expected numbers, got NaN", scaled(INT8, 0.5, 0), np.full((2, 3), np.nan, np.float32))


@pytest.mark.parametrize("given", [np.int64, np.uint8, np.int16])
def test_other_integers_are_refused_and_the_shown_ways_work(given):
    pixels = np.random.default_rng(0).integers(0, 100, (12, 3)).astype(given)
    model = scaled(INT8, 1 / 255, -128, out=(0.1, 0))
    said = (
        f"its own int8 as they are, got {given.__name__}; whether to scale.*input_dtype='float32'.*divide them by 255"
    )
    refused(ValueError, said, model, pixels)
    seen = []
    transform = {"output_transform": lambda outputs: seen.append(outputs) or EXPECTED[:12]}
    run(model, pixels.astype(np.float32) / 255, **transform)
    np.testing.assert_allclose(seen[0], np.round(pixels / 25.5) / 10, atol=0.1001)
    run(model, pixels // 100, input_dtype="float32", **transform)
    np.testing.assert_allclose(seen[1], 0, atol=0.1001)


def test_quantised_logits_are_logits_and_quantised_sigmoids_are_refused():
    def model(name, scale, zero_point):
        made = Builder()
        x = made.tensor("x", [-1, 3], INT8, (0.05, 0))
        y = made.tensor("y", [-1, 3], INT8, (scale, zero_point))
        return made.content({"x": x}, {"y": made.operator(name, [x], y)})

    given = np.clip(INPUTS[:, :3], -6, 6)
    logits = np.round(np.round(given / np.float32(0.05)) * 0.05 / 0.1) * 0.1
    found = run(model("QUANTIZE", 0.1, 0), given)
    assert found.meta["output_mode"] == "logits"
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    check(found, exact, tolerance=0.05)
    refused(ValueError, r"lie within \[0, 1\]", model("LOGISTIC", 1 / 256, -128), given)


def softmax_of(classes):
    """Return a softmax that rounds to 1/256."""
    made = Builder()
    x = made.tensor("x", [-1, classes], INT8, (0.1, 0))
    y = made.tensor("y", [-1, classes], INT8, (1 / 256, -128))
    return made.content({"x": x}, {"y": made.operator("SOFTMAX", [x], y, **SOFTMAX)})


def test_a_row_that_eight_bits_round_to_nothing_is_refused():
    """A softmax over 600 equal classes gives 1/600 each, which rounds to 0."""
    given = np.zeros((3, 600), np.float32)
    given[0, 0] = given[2, 5] = 12
    said = "row 1 of the batch: output 'y' .* sum to 0, .* 600 of 600 are 0; .* without the softmax\n"
    refused(ValueError, said, softmax_of(600), given)
    refused(ValueError, "index 1", softmax_of(600), given, output_transform=lambda outputs: outputs)


def test_rows_that_eight_bits_cannot_hold_are_refused_and_the_shown_transform_takes_them():
    """One class has 0.69 of a row, and each of 599 others a 1900th part of it, which rounds to 0."""
    given = np.zeros((3, 600), np.float32)
    given[0, 0], given[1, 3], given[2, 5] = 12, 7.2, 7.2
    message = refused(
        ValueError, "row 1 of the batch, and 1 more: .* sum to 0.691, .*599 of 600 are 0", softmax_of(600), given
    )
    transform = eval(message.split("output_transform=")[1].splitlines()[0])
    check(run(softmax_of(600), given, output_transform=transform), np.eye(600)[[0, 3, 5]])


def test_several_scales_are_refused():
    made = Builder()
    x = made.tensor("x", [-1, 3], INT8, (0.5, 0))
    made.graph.tensors[x].quantization.scale = [0.5, 0.25, 0.125]
    made.graph.tensors[x].quantization.zeroPoint = [0, 0, 0]
    made.graph.tensors[x].quantization.quantizedDimension = 1
    y = made.tensor("y", [-1, 3], INT8, (0.5, 0))
    content = made.content({"x": x}, {"y": made.operator("RESHAPE", [x, made.constant(np.int32([-1, 3]))], y)})
    refused(ValueError, "'x' is quantised with 3 scales, expected one", content)
