"""Outputs, signatures, inputs by name, and parts of fixed size."""

import flatbuffers
import numpy as np
import pandas as pd
import pytest
from ai_edge_litert import schema_py_generated as schema

from probly.data_generator.testing import reference
from tests.frameworks.litert import Builder, cnn_model, live, mlp_model, one_operator
from tests.litert_backend.runs import INPUTS, LABELS, WEIGHTS, check, generator, refused, run

LEFT, RIGHT = INPUTS[:, :3], INPUTS[:, 2:]
DIFFERENCE = reference.softmax(LEFT - RIGHT)


@pytest.mark.parametrize("rows", [1, 4, 50, 64, -1])
@pytest.mark.parametrize("batch_size", [1, 16, 50])
@pytest.mark.parametrize("signature", ["serving_default", None])
def test_any_batch_goes_through_any_number_of_rows(rows, batch_size, signature):
    content = mlp_model(WEIGHTS, rows, signature=signature)
    check(run(content, batch_size=batch_size))
    check(run(live(content), batch_size=batch_size))


def test_a_fixed_batch_is_filled_up_and_no_filling_is_seen():
    seen = []

    def transform(outputs):
        seen.append(outputs.shape)
        return reference.softmax(outputs)

    check(run(mlp_model(WEIGHTS, 7), output_transform=transform))
    assert seen == [(16, 3)] * 3 + [(2, 3)]


def test_a_batch_is_one_call_where_the_model_takes_any_number_of_rows():
    made = generator(mlp_model(WEIGHTS))
    made.generate_distributions(INPUTS[:16], progress=False)
    assert made._loaded.interpreter.get_input_details()[0]["shape"].tolist() == [16, 5]


def pair(axes=3, signature="serving_default"):
    """Return left - right, whose tensors have other names than its signature."""
    made = Builder()
    right, left = made.tensor("args_0:0", [-1, axes]), made.tensor("args_1:0", [-1, axes])
    options = {"kind": "SubOptions"} if axes > 1 else {"kind": "ConcatenationOptions", "axis": 1}
    y = made.operator(
        "SUB" if axes > 1 else "CONCATENATION", [left, right], made.tensor("y", [-1, max(axes, 2)]), **options
    )
    return made.content({"right": right, "left": left}, {"logits": y}, signature=signature)


def test_several_inputs_go_by_the_names_of_the_signature_or_in_the_order_of_the_model():
    by_name = [{"left": left, "right": right, "label": 1} for left, right in zip(LEFT, RIGHT, strict=True)]
    for model in (pair(), live(pair())):
        found = run(model, by_name)
        check(found, DIFFERENCE)
        assert set(found.labels.tolist()) == {1}
        check(run(model, [((right, left), 0) for left, right in zip(LEFT, RIGHT, strict=True)]), DIFFERENCE)
    other = [{"args_0:0": right, "args_1:0": left} for left, right in zip(LEFT, RIGHT, strict=True)]
    check(run(pair(signature=None), other), DIFFERENCE)
    refused(ValueError, "inputs are 'right' .float32 .N, 3.., .*missing 'left', 'right'; unknown 'args_0:0'",
            pair(), other)  # fmt: skip
    refused(ValueError, "the model has 2 inputs.*but a batch has 1", pair(), LEFT)


def test_a_table_gives_a_column_to_each_input():
    frame = pd.DataFrame({"right": INPUTS[:, 1], "left": INPUTS[:, 0]})
    check(run(pair(1), frame), reference.softmax(INPUTS[:, :2]))


def several(*names):
    made = Builder()
    x = made.tensor("x", [-1, 3])
    outputs = {}
    for times, name in enumerate(names):
        factor = made.constant(np.float32(times + 1))
        outputs[name] = made.operator("MUL", [x, factor], made.tensor(f"tensor {name}", [-1, 3]), kind="MulOptions")
    return made.content({"x": x}, outputs)


def test_several_outputs_need_a_choice_and_the_shown_one_works():
    message = refused(
        ValueError, "several outputs, 'a' .float32 .*'b' .*none is called 'logits'", several("a", "b"), LEFT
    )
    options = eval(message.split("options=")[1].split(", or")[0])
    distributions = run(several("a", "b"), LEFT, options=options)
    check(distributions, reference.softmax(LEFT))
    assert distributions.meta["options"] == {"output": "a"}
    check(run(several("a", "b"), LEFT, options={"output": "b"}), reference.softmax(2 * LEFT))
    check(run(several("a", "logits"), LEFT), reference.softmax(2 * LEFT))
    by_name = run(several("a", "b"), LEFT, output_transform=lambda found: reference.softmax(found["b"]))
    check(by_name, reference.softmax(2 * LEFT))


def two_signatures():
    """Return a model of one graph that two signatures share, under other names."""
    model = schema.ModelT.InitFromPackedBuf(several("a", "b"), 0)
    first, second = model.signatureDefs[0], schema.SignatureDefT()
    second.signatureKey, second.subgraphIndex = "other", 0
    second.inputs, second.outputs = first.inputs, [first.outputs[1]]
    first.outputs = [first.outputs[0]]
    model.signatureDefs.append(second)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_several_signatures_need_a_choice_and_the_shown_one_works():
    message = refused(ValueError, "several signatures, 'other', 'serving_default'; choose one", two_signatures(), LEFT)
    options = eval(message.split("options=")[1])
    found = run(two_signatures(), LEFT, options=options)
    check(found, reference.softmax(2 * LEFT))
    assert found.meta["options"] == {"signature": "other"}
    check(run(two_signatures(), LEFT, options={"signature": "serving_default"}), reference.softmax(LEFT))


def test_the_core_decides_what_the_scores_are():
    softmax = one_operator("SOFTMAX", LEFT, kind="SoftmaxOptions", beta=1.0)
    found = run(softmax, LEFT)
    check(found, reference.softmax(LEFT))
    assert found.meta["output_mode"] == "probs"
    refused(ValueError, r"lie within \[0, 1\]", one_operator("LOGISTIC", LEFT), LEFT)


def test_integers_are_no_floats_and_the_shown_ways_work():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 5), dtype=np.uint8)
    said = "'x': the model wants float32, got uint8; whether to scale.*input_dtype='float32'.*divide them by 255"
    refused(ValueError, said, mlp_model(WEIGHTS), pixels)
    found = run(mlp_model(WEIGHTS), pixels.astype(np.float32) / 255)
    check(found, reference.softmax(reference.mlp_logits(WEIGHTS, pixels / 255)), 1e-5)
    found = run(mlp_model(WEIGHTS), pixels, input_dtype="float32")
    check(found, reference.softmax(reference.mlp_logits(WEIGHTS, pixels.astype(np.float32))), 1e-5)


def test_pictures_in_the_other_layout_are_refused_and_the_shown_getter_works():
    weights = reference.cnn_weights(channels=3)
    images = reference.samples(rows=6, shape=(8, 8, 3))[0]
    expected = reference.softmax(reference.cnn_logits(weights, images))
    for rows in (-1, 1, 4):
        check(run(cnn_model(weights, rows), images), expected)
    wrong = images.transpose(0, 3, 1, 2)
    message = refused(ValueError, "the model wants NHWC. Transpose", cnn_model(weights), wrong)
    getter = eval(message.split("input_getter=")[1].splitlines()[0])
    check(run(cnn_model(weights), [(image, 0) for image in wrong], input_getter=getter), expected)


def test_another_shape_is_refused():
    refused(ValueError, r"'x': the model wants \(N, 5\), got \(16, 3\)", mlp_model(WEIGHTS), (LEFT, LABELS))


def test_one_row_for_a_whole_part_is_refused():
    """Cutting must not make a wrong number of rows right."""
    made = Builder()
    x, y = made.tensor("x", [4, 3]), made.tensor("y", [1, 3])
    mean = made.operator("MEAN", [x, made.constant(np.int32([0]))], y, kind="ReducerOptions", keepDims=True)
    refused(ValueError, "expected 4 rows, got 1", made.content({"x": x}, {"logits": mean}), LEFT)


def test_state_does_not_pass_from_one_row_to_the_next():
    """Each row of a filter with a memory of two is as if it were the first."""
    made = Builder()
    x, y, memory = made.tensor("x", [1, 3]), made.tensor("y", [1, 3]), made.tensor("memory", [1, 6])
    made.graph.tensors[memory].isVariable = True
    weights = [made.constant(np.eye(3, dtype=np.float32)), made.constant(np.ones((3, 2), np.float32))]
    made.operator("SVDF", [x, *weights, -1, memory], y, kind="SVDFOptions", rank=1)
    content = made.content({"x": x}, {"logits": y})
    model = live(content)
    runner = live(content).get_signature_runner()
    assert [runner(x=np.ones((1, 3), np.float32))["logits"][0, 0] for _ in range(2)] == [1, 2]
    for source in (content, model, model):
        check(run(source, LEFT, output_mode="logits"), reference.softmax(LEFT))


def test_texts_go_in_as_they_are():
    made = Builder()
    x, y = made.tensor("x", [-1], schema.TensorType.STRING), made.tensor("y", [-1], schema.TensorType.STRING)
    content = made.content({"x": x}, {"words": made.operator("RESHAPE", [x, made.constant(np.int32([-1]))], y)})
    seen = []
    run(content, ["a", "über", "c"], output_transform=lambda words: seen.append(words.tolist()) or np.eye(3))
    assert seen == [[b"a", "über".encode(), b"c"]]
    refused(ValueError, "the model wants text, got float32", content, LEFT[:, 0])
    refused(TypeError, "Model must return an array of real numbers", content, ["a", "b"])


def test_a_model_that_takes_single_rows_only_says_so():
    """Its first axis has no length, but an operator inside has one."""
    made = Builder()
    x, y = made.tensor("x", [-1, 3]), made.tensor("y", [1, 3])
    content = made.content({"x": x}, {"logits": made.operator("RESHAPE", [x, made.constant(np.int32([1, 3]))], y)})
    with pytest.raises(RuntimeError) as caught:
        run(content, LEFT)
    assert "if the model takes single rows only, set batch_size=1" in caught.value.__notes__
    check(run(content, LEFT, batch_size=1, output_mode="logits"), reference.softmax(LEFT))
