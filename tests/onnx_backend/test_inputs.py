"""From the inputs of a batch to what a session wants."""

import re
from typing import Any, NamedTuple

import numpy as np
import pytest
from onnx import TensorProto, helper

from probly.data_generator import SimpleDataLoader
from probly.data_generator.testing import reference
from probly_data_generator_onnx import models
from tests.frameworks.onnx import FLOAT, Pairs, cnn_model, model_of
from tests.onnx_backend.runs import (
    EXPECTED,
    IMAGE_ROWS,
    IMAGE_WEIGHTS,
    IMAGES,
    INPUTS,
    LABELS,
    LIVE,
    WEIGHTS,
    check,
    identity,
    refused,
    run,
)


@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64, ">f4", ">f8"])
@pytest.mark.parametrize("kind", ["FLOAT16", "FLOAT", "DOUBLE", "BFLOAT16"])
def test_floats_are_cast_to_the_models_own(given, kind):
    logits = reference.samples(rows=9, shape=(3,))[0].astype(given)
    tolerance = {"FLOAT16": 1e-3, "BFLOAT16": 2.0**-7}.get(kind, 1e-6)
    check(
        run(identity(TensorProto.DataType.Value(kind)), logits, output_mode="logits"),
        reference.softmax(logits),
        tolerance,
    )


def test_double_logits_lose_nothing_before_the_softmax():
    logits = np.array([[1e9, 1e9 + 1.0, 0.0]])
    rows = run(identity(TensorProto.DOUBLE), logits, output_mode="logits")
    np.testing.assert_allclose(rows[0], [1 / (1 + np.e), np.e / (1 + np.e), 0], rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["FLOAT16", "BFLOAT16", "DOUBLE"])
def test_probabilities_of_any_float_become_float32(kind):
    model = identity(FLOAT, TensorProto.DataType.Value(kind))
    distributions = run(model, EXPECTED.astype(np.float32), output_mode="probs")
    check(distributions, EXPECTED, {"FLOAT16": 1e-3, "BFLOAT16": 2.0**-7, "DOUBLE": 1e-6}[kind])
    np.testing.assert_allclose(distributions.probabilities.sum(axis=1), 1, rtol=0, atol=1e-6)


def embedding(kind):
    """Return a model that looks a row of logits up by a number."""
    return model_of(
        [("Gather", "table x", "logits", {})], {"x": (kind, ["N"])}, {"logits": (FLOAT, ["N", 5])}, {"table": INPUTS}
    )


@pytest.mark.parametrize("kind", ["INT32", "INT64"])
@pytest.mark.parametrize("given", [np.uint8, np.int16, np.int32, np.int64, np.uint64])
def test_integers_are_cast_where_every_value_fits(kind, given):
    numbers = np.arange(9, dtype=given)[::-1]
    check(
        run(embedding(TensorProto.DataType.Value(kind)), numbers, output_mode="logits"),
        reference.softmax(INPUTS[8::-1]),
    )


def test_integers_that_do_not_fit_are_refused():
    numbers = np.array([0, 2**40])
    refused(ValueError, r"'x': the model wants int32, got int64; its values from 0 to 1099511627776 do not fit",
            embedding(TensorProto.INT32), numbers)  # fmt: skip


def test_pixels_are_not_scaled_by_guess_and_the_shown_ways_work():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 5), dtype=np.uint8)
    samples = list(zip(pixels, LABELS, strict=False))
    message = refused(
        ValueError, r"'x': the model wants float32, got uint8; whether to scale it is not guessed", LIVE, samples
    )
    assert "input_dtype='float32'" in message
    check(run(LIVE, samples, input_dtype="float32"), reference.softmax(reference.mlp_logits(WEIGHTS, pixels)))
    rows = reference.softmax(reference.mlp_logits(WEIGHTS, (pixels / 255).astype(np.float32)))
    check(run(LIVE, samples, input_getter=lambda sample: sample[0].astype(np.float32) / 255), rows)


@pytest.mark.parametrize(
    ("kind", "given", "pattern"),
    [
        (TensorProto.INT64, np.zeros((4, 3)), "wants int64, got float64"),
        (TensorProto.BOOL, np.zeros((4, 3), np.uint8), "wants bool, got uint8"),
        (FLOAT, np.zeros((4, 3), np.bool_), "wants float32, got bool"),
        (FLOAT, np.full((4, 3), "a"), "wants float32, got <U1"),
        (FLOAT, np.zeros((4, 3), np.complex64), "wants float32, got complex64"),
        (TensorProto.UINT8, np.full((4, 3), -1), "values from -1 to -1 do not fit"),
    ],
)
def test_other_dtypes_are_refused_by_name(kind, given, pattern):
    refused(ValueError, f"input 'x': .*{pattern}", identity(kind, FLOAT), given)


def test_text_goes_in():
    words = {"domain": "ai.onnx.ml", "keys_strings": ["a", "b"], "values_int64s": [1, 0]}
    nodes = [("LabelEncoder", "x", "position", words), ("Gather", "table position", "logits", {})]
    inputs, outputs = {"x": (TensorProto.STRING, ["N"])}, {"logits": (FLOAT, ["N", 5])}
    model = model_of(nodes, inputs, outputs, {"table": INPUTS}, domains=[("ai.onnx.ml", 3)])
    for texts in (np.array(["b", "a"]), np.array(["b", "a"], object), ["b", "a"]):
        check(run(model, texts, output_mode="logits"), reference.softmax(INPUTS[:2]))
    refused(
        ValueError, "wants text, got object; row 1 of the batch has None; fill in", model, np.array(["b", None], object)
    )


# Names


def two_inputs():
    """Return a model of left - 2 * right, with its inputs in this order."""
    nodes = [("Add", "right right", "twice", {}), ("Sub", "left twice", "logits", {})]
    shape = (FLOAT, ["N", 5])
    return model_of(nodes, {"left": shape, "right": shape}, {"logits": shape})


class Sides(NamedTuple):
    right: Any
    left: Any


RIGHT = np.roll(INPUTS, 1, axis=0)
BOTH = reference.softmax(INPUTS.astype(np.float64) - 2 * RIGHT)


@pytest.mark.parametrize(
    "inputs",
    [
        {"right": RIGHT, "left": INPUTS},
        (INPUTS, RIGHT),
        Sides(right=RIGHT, left=INPUTS),
    ],
    ids=["mapping", "tuple", "namedtuple"],
)
def test_several_inputs_go_by_name_or_in_order(inputs):
    pairs = [({"all": row}, 0) for row in range(50)]

    def getter(pair):
        row = pair[0]["all"]
        if isinstance(inputs, dict):
            return {name: array[row] for name, array in inputs.items()}
        return (
            type(inputs)(*(array[row] for array in inputs))
            if isinstance(inputs, Sides)
            else (inputs[0][row], inputs[1][row])
        )

    check(run(two_inputs(), pairs, input_getter=getter, output_mode="logits"), BOTH)
    if isinstance(inputs, dict):
        check(run(two_inputs(), inputs, output_mode="logits"), BOTH)


@pytest.mark.parametrize(
    ("inputs", "pattern"),
    [
        ({"left": INPUTS}, r"'left' \(tensor\(float\) \(N, 5\)\), 'right' .*; missing 'right': "),
        ({"left": INPUTS, "rigth": RIGHT}, r"missing 'right'; unknown 'rigth': "),
        ({"left": INPUTS, "right": RIGHT, "middle": LABELS}, r"; unknown 'middle': .*return a dict of them by name"),
        (INPUTS, r"has 2 inputs, 'left' .*, 'right' .*, but a batch has 1; return a dict by name"),
    ],
)
def test_missing_and_unknown_inputs_are_named(inputs, pattern):
    refused(ValueError, pattern, two_inputs(), inputs)


def test_a_label_in_a_mapping_is_no_input():
    inputs = {"left": INPUTS, "right": RIGHT, "label": LABELS}
    samples = [{name: column[row] for name, column in inputs.items()} for row in range(len(LABELS))]
    for dataset in (inputs, samples):
        found = run(two_inputs(), dataset, output_mode="logits")
        check(found, BOTH)
        np.testing.assert_array_equal(found.labels, LABELS)


def test_lists_of_texts_become_an_array():
    words = {"keys_strings": ["a", "b"], "values_floats": [1.0, 2.0], "domain": "ai.onnx.ml"}
    shape = ["N", 2]
    inputs, outputs = {"x": (TensorProto.STRING, shape)}, {"y": (FLOAT, shape)}
    model = model_of([("LabelEncoder", "x", "y", words)], inputs, outputs, domains=[("ai.onnx.ml", 3)])
    expected = reference.softmax(np.array([[1.0, 2.0], [2.0, 2.0]]))
    for samples in ([["a", "b"], ["b", "b"]], list(np.array([["a", "b"], ["b", "b"]], object))):
        check(run(model, samples, output_mode="logits"), expected)
    refused(TypeError, "got 2 samples that do not stack", model, [["a", "b"], ["b"]])


def test_samples_that_do_not_stack_are_refused():
    samples = [np.zeros(5, np.float32), np.zeros(4, np.float32)]
    refused(TypeError, r"'x': expected one array per batch, got 2 samples that do not stack", LIVE, samples)


def test_a_model_of_sequences_is_refused():
    sequence = helper.make_tensor_sequence_value_info("x", FLOAT, ["N"])
    output = helper.make_tensor_value_info("y", FLOAT, None)
    node = helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)
    graph = helper.make_graph([node], "g", [sequence], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    refused(TypeError, r"'x': expected a model with plain tensors as inputs, got one with seq", model)


# Shapes


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_the_other_layout_is_refused_and_the_shown_transposes_work(layout):
    model = cnn_model(IMAGE_WEIGHTS, layout=layout)
    images = IMAGES if layout == "NHWC" else IMAGES.transpose(0, 3, 1, 2)
    check(run(model, images), IMAGE_ROWS)
    other = IMAGES.transpose(0, 3, 1, 2) if layout == "NHWC" else IMAGES
    samples = list(zip(other, LABELS, strict=False))
    wrong = {"NHWC": "NCHW", "NCHW": "NHWC"}[layout]
    message = refused(ValueError, f"'x': .*the data is {wrong}, the model wants {layout}", model, samples)
    array_code, getter_code = re.search(r"(batch\.transpose\(.*?\)), .*input_getter=(.*)$", message).groups()
    check(run(model, samples, input_getter=eval(getter_code)), IMAGE_ROWS)
    check(run(model, eval(array_code, {"batch": other})), IMAGE_ROWS)


def test_other_orders_of_axes_are_shown():
    model = identity(FLOAT, axes=(7, 3))
    message = refused(ValueError, "the axes have another order", model, np.zeros((4, 3, 7), np.float32))
    assert "batch.transpose(0, 2, 1)" in message


@pytest.mark.parametrize(
    ("given", "axes", "code"),
    [((4, 8, 8), (1, 8, 8), "[:, None]"), ((4, 8, 8), (8, 8, 1), "[..., None]"), ((4,), (1,), "[:, None]")],
)
def test_a_missing_axis_is_shown(given, axes, code):
    message = refused(ValueError, "an axis is missing", identity(FLOAT, axes=axes), np.zeros(given, np.float32))
    assert f"batch{code}" in message
    assert eval(f"np.zeros({given}){code}").shape == (4, *axes)


def test_any_other_shape_is_named():
    refused(
        ValueError,
        r"'x': the model wants \(N, 5\), got \(16, 4\); bring each sample to that shape",
        LIVE,
        INPUTS[:, :4],
    )


@pytest.mark.parametrize(
    ("axes", "channels"),
    [((3, 8, 8), "first"), ((8, 8, 1), "last"), ((3, 8, 3), None), ((None, None, 3), "last"), ((8, 8), None)],
)
def test_the_axis_of_the_channels_is_told_where_the_shape_tells(axes, channels):
    assert models.load(identity(FLOAT, axes=axes), "cpu", {}).channels == channels
    assert models.load(two_inputs(), "cpu", {}).channels is None


def test_axes_without_a_number_take_any_size():
    nodes = [("ReduceMean", "x axes", "y", {"keepdims": 0})]
    model = model_of(nodes, {"x": (FLOAT, ["N", None, "length"])}, {"y": (FLOAT, ["N", None])}, {"axes": [2]})
    given = reference.samples(rows=4, shape=(3, 6))[0]
    check(run(model, given, output_mode="logits"), reference.softmax(given.mean(axis=2)))
    unknown = model_of([("Identity", "x", "y", {})], {"x": (FLOAT, None)}, {"y": (FLOAT, None)})
    check(run(unknown, INPUTS, output_mode="logits"), reference.softmax(INPUTS))


# Datasets


@pytest.mark.parametrize("shuffle", [False, True])
def test_samples_and_loaders_land_under_their_index(shuffle):
    pairs = Pairs(INPUTS.astype(np.float64), LABELS)
    loader = SimpleDataLoader(pairs, batch_size=7, shuffle=shuffle)
    for dataset in (pairs, loader, iter(list(zip(INPUTS, LABELS, strict=True)))):
        distributions = run(LIVE, dataset)
        check(distributions)
        np.testing.assert_array_equal(distributions.labels, LABELS)


def test_strided_memory_goes_in():
    wide = np.repeat(INPUTS, 2, axis=1)[:, ::2]
    check(run(LIVE, np.asfortranarray(wide)))
    check(run(LIVE, wide[::-1]), EXPECTED[::-1])
