"""From the inputs of a batch to what a model wants: nothing is cast that could mean something else."""

import numpy as np
import openvino
import pandas as pd
import pytest
from openvino import opset13 as op

from probly.data_generator.testing import reference
from tests.frameworks.openvino import cnn_model, model_of
from tests.openvino_backend.runs import INPUTS, LABELS, check, identity, refused, run

LEFT, RIGHT = INPUTS[:, :3], INPUTS[:, 2:]
DIFFERENCE = reference.softmax(LEFT - RIGHT)


def two_inputs(axes=3):
    parts = [op.parameter([-1, axes], openvino.Type.f32, name=name) for name in ("left", "right")]
    node = op.subtract(*parts) if axes > 1 else op.concat(parts, 1)
    return openvino.Model([op.result(node)], parts, "model")


def test_several_inputs_go_by_name_or_in_order():
    model = two_inputs()
    by_name = [{"right": right, "left": left} for left, right in zip(LEFT, RIGHT, strict=True)]
    labelled = [{**sample, "label": label} for sample, label in zip(by_name, LABELS, strict=True)]
    check(run(model, by_name), DIFFERENCE)
    found = run(model, labelled)
    check(found, DIFFERENCE)
    np.testing.assert_array_equal(found.labels, LABELS)
    pairs = [((left, right), label) for left, right, label in zip(LEFT, RIGHT, LABELS, strict=True)]
    check(run(model, pairs), DIFFERENCE)


def test_a_table_gives_a_column_to_each_input():
    frame = pd.DataFrame({"right": INPUTS[:, 1], "left": INPUTS[:, 0]})
    check(run(two_inputs(1), frame), reference.softmax(INPUTS[:, :2]))


def test_other_names_are_refused():
    samples = [{"left": left, "wrong": right} for left, right in zip(LEFT, RIGHT, strict=True)]
    refused(
        ValueError,
        "the model's inputs are 'left' .f32 .N, 3.., .*missing 'right'; unknown 'wrong'",
        two_inputs(),
        samples,
    )
    refused(ValueError, "the model has 2 inputs.*but a batch has 1", two_inputs(), INPUTS)


def test_integers_are_no_floats_and_the_shown_ways_work():
    pixels = np.random.default_rng(0).integers(0, 5, (12, 3), dtype=np.uint8)
    message = refused(ValueError, "'x': the model wants float32, got uint8; whether to scale", identity(), pixels)
    assert "input_dtype='float32'" in message
    check(run(identity(), pixels, input_dtype="float32", output_mode="logits"), reference.softmax(pixels))
    scaled = run(identity(), pixels, input_getter=lambda row: row.astype("float32") / 255, output_mode="logits")
    check(scaled, reference.softmax(pixels / 255))
    numbers = model_of(lambda x: op.convert(x, openvino.Type.f32), [-1, 3], openvino.Type.i8)
    check(
        run(numbers, np.arange(12).reshape(4, 3), output_mode="logits"), reference.softmax(np.arange(12).reshape(4, 3))
    )
    refused(ValueError, "'x': the model wants int8, got int64; its values from 0 to 300 do not fit", numbers,
            np.array([[0, 1, 300]]))  # fmt: skip


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_pictures_in_the_other_layout_are_refused_and_the_shown_getter_works(layout):
    weights = reference.cnn_weights(channels=3)
    images = reference.samples(rows=6, shape=(8, 8, 3))[0]
    expected = reference.softmax(reference.cnn_logits(weights, images))
    model = cnn_model(weights, layout=layout)
    right, wrong = (images, images.transpose(0, 3, 1, 2))[:: 1 if layout == "NHWC" else -1]
    check(run(model, right), expected)
    message = refused(ValueError, f"the model wants {layout}. Transpose", model, wrong)
    getter = eval(message.split("input_getter=")[1].splitlines()[0])
    check(run(model, [(image, 0) for image in wrong], input_getter=getter), expected)


def test_texts_go_to_models_of_texts():
    model = model_of(lambda x: op.convert(op.shape_of(x), openvino.Type.f32), [-1], openvino.Type.string)
    refused(ValueError, r"expected 2 rows, got 1", model, ["ab", "c"])
    refused(ValueError, "the model wants text, got float32", model, INPUTS[:, 0])


def test_another_shape_is_refused():
    refused(ValueError, r"'x': the model wants \(N, 3\), got \(16, 5\)", identity(), INPUTS)
