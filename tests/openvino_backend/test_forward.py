"""Outputs, parts of fixed size, state, and numbers that OpenVINO would give wrongly."""

import numpy as np
import openvino
import pytest
from openvino import opset6
from openvino import opset13 as op

from probly.data_generator.testing import reference
from probly_data_generator_openvino.inputs import DTYPES
from tests.frameworks.openvino import compiled, mlp_model, model_of
from tests.openvino_backend.runs import INPUTS, WEIGHTS, check, generator, identity, refused, run


@pytest.mark.parametrize("rows", [1, 4, 50, 64, openvino.Dimension(3, 8), openvino.Dimension(1, 8)], ids=str)
@pytest.mark.parametrize("batch_size", [1, 16, 50])
def test_any_batch_goes_through_fixed_and_bounded_rows(rows, batch_size):
    check(run(mlp_model(WEIGHTS, rows), batch_size=batch_size))


def test_a_static_batch_is_filled_up_and_no_filling_is_seen():
    """Each row also gets the sum of its part's inputs, so that filling would show in the transform's outputs."""
    seen = []

    def transform(outputs):
        seen.append(outputs.shape)
        return reference.softmax(outputs)

    check(run(mlp_model(WEIGHTS, 7), output_transform=transform))
    assert seen == [(16, 3)] * 3 + [(2, 3)]


def test_one_row_for_a_whole_part_is_refused():
    """Cutting must not make a wrong number of rows right."""
    model = model_of(lambda x: op.reduce_sum(x, np.int64([0]), keep_dims=True), [4, 3])
    refused(ValueError, r"expected 4 rows, got 1", model, INPUTS[:, :3])


def test_inputs_of_different_fixed_rows_are_refused():
    parts = [op.parameter([rows, 3], openvino.Type.f32, name=name) for rows, name in ((2, "a"), (3, "b"))]
    model = openvino.Model([op.result(op.concat(parts, 0))], parts, "model")
    with pytest.raises(ValueError, match="different fixed numbers of rows"):
        generator(model)


def several(*names):
    return model_of(
        lambda x: {name: op.multiply(x, np.float32(times + 1)) for times, name in enumerate(names)}, [-1, 3]
    )


def test_several_outputs_need_a_choice_and_the_shown_one_works():
    message = refused(
        ValueError, "several outputs, 'a' .f32 .*'b' .*none is called 'logits'", several("a", "b"), INPUTS[:, :3]
    )
    options = eval(message.split("options=")[1].split(", or")[0])
    distributions = run(several("a", "b"), INPUTS[:, :3], options=options)
    check(distributions, reference.softmax(INPUTS[:, :3]))
    assert distributions.meta["options"] == {"output": "a"}
    check(run(several("a", "b"), INPUTS[:, :3], options={"output": "b"}), reference.softmax(2 * INPUTS[:, :3]))
    check(run(several("a", "logits"), INPUTS[:, :3]), reference.softmax(2 * INPUTS[:, :3]))
    by_name = run(several("a", "b"), INPUTS[:, :3], output_transform=lambda found: reference.softmax(found["b"]))
    check(by_name, reference.softmax(2 * INPUTS[:, :3]))
    with pytest.raises(ValueError, match="option 'output': expected one of None, 'a', 'b', got 'c'"):
        generator(several("a", "b"), options={"output": "c"})


def test_inputs_and_outputs_without_names_are_called_by_their_place():
    """Converters of PyTorch leave outputs without any."""
    parts = [op.parameter([-1, 3], openvino.Type.f32) for _ in range(2)]
    results = [op.result(operator(*parts)) for operator in (op.add, op.subtract)]
    pairs = [((row, 2 * row), 0) for row in INPUTS[:, :3]]

    def model():
        return openvino.Model(results, parts, "model")

    message = refused(ValueError, "several outputs, 'output 0' .f32 .*; choose one with options", model(), pairs)
    options = eval(message.split("options=")[1].split(", or")[0])
    check(run(model(), pairs, options=options), reference.softmax(3 * INPUTS[:, :3]))
    seen = []
    run(
        model(),
        pairs,
        output_transform=lambda found: seen.append(list(found.values())) or np.eye(3)[[0] * len(seen[-1][0])],
    )
    np.testing.assert_allclose(seen[0][1], -INPUTS[:16, :3], rtol=1e-6)


def test_the_core_decides_what_the_scores_are():
    softmax = model_of(lambda x: op.softmax(x, 1), [-1, 3])
    found = run(softmax, INPUTS[:, :3])
    check(found, reference.softmax(INPUTS[:, :3]))
    assert found.meta["output_mode"] == "probs"
    refused(ValueError, r"lie within \[0, 1\]", model_of(op.sigmoid, [-1, 3]), INPUTS[:, :3])


def test_state_does_not_pass_from_one_batch_to_the_next():
    """A model that adds up all that it has seen gives each row as if it were the first."""
    x = op.parameter([1, 3], openvino.Type.f32, name="x")
    seen = op.add(opset6.read_value(op.constant(np.zeros((1, 3), np.float32)), "seen"), x)
    model = openvino.Model([op.result(seen)], [opset6.assign(seen, "seen")], [x], "model")
    live = compiled(model)
    request = live.create_infer_request()
    request.infer([INPUTS[:1, :3]])
    for source in (model, live):
        check(run(source, INPUTS[:, :3], output_mode="logits"), reference.softmax(INPUTS[:, :3]))
    assert np.allclose(request.infer([INPUTS[:1, :3]])[0], 2 * INPUTS[:1, :3]), "the owner's request keeps its own"


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64"])
def test_floats_of_every_size_come_in_and_out_as_they_are(dtype):
    """OpenVINO's own conversion to NumPy takes the bits of bfloat16 for those of float16."""
    kind = getattr(openvino.Type, dtype)
    logits = INPUTS[:, :3].astype(np.float64)
    rounded = logits.astype(DTYPES[dtype]).astype(np.float64)
    check(run(identity(kind), logits), reference.softmax(rounded))
    out = model_of(lambda x: op.convert(x, kind), [-1, 3])
    rows = reference.softmax(logits).astype(np.float32)
    check(run(out, rows, output_mode="probs"), rows, {"f64": 1e-6}.get(dtype, 2.0**-7))


def test_several_numbers_in_a_byte_are_refused():
    packed = model_of(lambda x: op.convert(x, openvino.Type.u4), [-1, 4])
    refused(TypeError, "Model must return scores, got u4", packed, INPUTS[:, :4])


def test_the_model_runs_once_per_batch(path):
    made = generator(path)
    live, rows = made._loaded.request, []

    class Counting:
        def reset_state(self):
            live.reset_state()

        def infer(self, feeds, **options):
            rows.append(len(feeds[0]))
            return live.infer(feeds, **options)

    made._loaded.request = Counting()
    check(made.generate_distributions(INPUTS, progress=False))
    assert rows == [16, 16, 16, 2]
