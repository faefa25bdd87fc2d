"""Which output is taken, in how many parts a batch goes through, and how often."""

import re

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from probly.data_generator import InvalidOutputError
from probly.data_generator.temperature import Temperature
from probly.data_generator.testing import reference
from probly_data_generator_onnx.backend import is_out_of_memory
from tests.frameworks.onnx import FLOAT, mlp_model, model_of
from tests.onnx_backend.runs import EXPECTED, INPUTS, LIVE, WEIGHTS, check, generator, identity, refused, run


@pytest.mark.parametrize("fixed", [1, 4, 16, 64])
@pytest.mark.parametrize("batch_size", [1, 7, 16, 50])
def test_a_fixed_number_of_rows_takes_any_batch_size(fixed, batch_size):
    check(run(mlp_model(WEIGHTS, rows=fixed), INPUTS, batch_size=batch_size))


def test_an_output_without_rows_is_no_trap_for_a_fixed_number_of_rows():
    nodes = [("Identity", "x", "logits", {}), ("ReduceMean", "x", "loss", {"keepdims": 0})]
    model = model_of(nodes, {"x": (FLOAT, [4, 5])}, {"logits": (FLOAT, [4, 5]), "loss": (FLOAT, [])})
    check(run(model, INPUTS, output_mode="logits"), reference.softmax(INPUTS))
    refused(InvalidOutputError, "expected 4 rows, got 0", model, output_transform=lambda outputs: outputs["logits"])
    transformed = run(model, INPUTS, options={"output": "logits"}, output_transform=reference.softmax)
    check(transformed, reference.softmax(INPUTS))


def test_a_wrong_number_of_rows_is_not_hidden_by_parts():
    nodes = [("Concat", "x x", "y", {"axis": 0})]
    model = model_of(nodes, {"x": (FLOAT, [4, 5])}, {"y": (FLOAT, [8, 5])})
    refused(InvalidOutputError, "expected 4 rows, got 8", model, output_mode="logits")


def test_inputs_with_different_fixed_numbers_of_rows_are_refused():
    nodes = [("Identity", "left", "logits", {})]
    model = model_of(nodes, {"left": (FLOAT, [4, 5]), "right": (FLOAT, [1, 5])}, {"logits": (FLOAT, [4, 5])})
    with pytest.raises(ValueError, match=r"different fixed numbers of rows \('left': \(4, 5\), 'right': \(1, 5\)\)"):
        generator(model)


# Outputs


def several(*names, kinds=None):
    """Return a model with the inputs, and multiples of them, under several names."""
    nodes = [("Mul", f"x by{number}", name, {}) for number, name in enumerate(names)]
    factors = {f"by{number}": np.float32(number + 1) for number in range(len(names))}
    return model_of(nodes, {"x": (FLOAT, ["N", 5])}, dict.fromkeys(names, (FLOAT, ["N", 5])), factors)


@pytest.mark.parametrize("names", [("hidden", "logits"), ("logits", "hidden"), ("hidden", "class_logits", "aux")])
def test_the_output_called_logits_is_taken(names):
    factor = [number + 1 for number, name in enumerate(names) if "logits" in name][0]  # noqa: RUF015  # one there is
    for mode in ("auto", "logits"):
        check(run(several(*names), INPUTS, output_mode=mode), reference.softmax(factor * INPUTS))


def test_of_logits_and_probabilities_the_logits_are_taken():
    """They are right in every mode but "probs", which refuses them; a softmax over probabilities would be silent."""
    nodes = [("Softmax", "x", "probs", {}), ("Identity", "x", "logits", {}), ("Neg", "x", "hidden", {})]
    shape = (FLOAT, ["N", 5])
    model = model_of(nodes, {"x": shape}, {"probs": shape, "logits": shape, "hidden": shape})
    for mode in ("auto", "logits"):
        distributions = run(model, INPUTS, output_mode=mode)
        check(distributions, reference.softmax(INPUTS))
        assert distributions.meta["output_mode"] == "logits"
    check(run(model, INPUTS, output_transform=Temperature(2.0)), reference.softmax(INPUTS / 2))
    refused(InvalidOutputError, 'no distribution.*set output_mode="logits"', model, output_mode="probs")
    check(run(model, INPUTS, output_mode="probs", options={"output": "probs"}), reference.softmax(INPUTS))


@pytest.mark.parametrize("names", [("a", "b"), ("logits", "other_logits", "probs"), ("probs", "probabilities")])
def test_outputs_that_nobody_can_choose_between_are_named(names):
    message = refused(ValueError, r"several outputs, .*output_transform, which gets a dict by name", several(*names))
    for name in names:
        assert f"{name!r} (tensor(float))" in message
    (code,) = re.findall(r"options=(\{.*?\})", message)
    distributions = run(several(*names), INPUTS, options=eval(code), output_mode="logits")
    check(distributions, reference.softmax(INPUTS))
    assert distributions.meta["options"] == {"output": names[0]}


def test_output_transform_gets_several_outputs_by_name_and_one_alone():
    transformed = run(several("a", "b"), INPUTS, output_transform=lambda outputs: reference.softmax(outputs["b"]))
    check(transformed, reference.softmax(2 * INPUTS))
    check(run(LIVE, INPUTS, output_transform=reference.softmax))


def test_class_labels_are_no_scores():
    nodes = [("ArgMax", "x", "label", {"axis": 1, "keepdims": 0})]
    model = model_of(nodes, {"x": (FLOAT, ["N", 5])}, {"label": (TensorProto.INT64, ["N"])})
    refused(TypeError, "looks like class labels", model)
    text = identity(FLOAT, TensorProto.STRING, axes=(5,))
    refused(TypeError, "looks like class labels", text)


def test_options_are_checked():
    for options, pattern in (
        ({"output": "nope"}, r"option 'output': expected one of None, 'logits', got 'nope'"),
        ({"thread": 1}, "unknown option 'thread'; known: threads"),
        ({"threads": "2"}, r"option 'threads': expected one of range\(0, 1024\), got '2'"),
    ):
        with pytest.raises(ValueError, match=pattern):
            generator(mlp_model(WEIGHTS), options=options)
    with pytest.raises(ValueError, match="a live session has its own"):
        generator(LIVE, options={"threads": 1})
    made = generator(mlp_model(WEIGHTS), options={"threads": 1})
    assert made._loaded.session.get_session_options().intra_op_num_threads == 1
    check(made.generate_distributions(INPUTS, progress=False))


# How often


class Counting(onnxruntime.InferenceSession):
    """A live session that counts its calls and their rows."""

    def __init__(self, model):
        super().__init__(model.SerializeToString(), providers=["CPUExecutionProvider"])
        self.rows = []

    def run(self, output_names, input_feed, run_options=None):
        self.rows.append(len(input_feed["x"]))
        return super().run(output_names, input_feed, run_options)


@pytest.mark.parametrize(
    "options",
    [
        {"output_mode": "auto"},
        {"output_mode": "logits"},
        {"output_transform": reference.softmax},
        {"output_transform": Temperature(1.0)},
    ],
    ids=["auto", "logits", "transform", "temperature"],
)
def test_the_session_runs_once_per_batch(options, tmp_path):
    live = Counting(mlp_model(WEIGHTS))
    made = generator(live, **options)
    assert live.rows == [], "nothing runs before the data are there"
    check(made.generate_distributions(INPUTS, progress=False))
    assert live.rows == [16, 16, 16, 2]
    made.generate_distributions(INPUTS[:16], progress=False)
    assert live.rows == [16, 16, 16, 2, 16]
    check(generator(live, **options).generate_distributions(INPUTS, out=tmp_path / "a.fod", progress=False))
    assert live.rows[5:] == [16, 16, 16, 2]


def test_a_session_of_probabilities_runs_once_per_batch():
    live = Counting(identity(FLOAT, axes=(3,)))
    for mode in ("auto", "probs"):
        live.rows.clear()
        check(run(live, EXPECTED.astype(np.float32), output_mode=mode))
        assert live.rows == [16, 16, 16, 2]


# Memory


def greedy():
    """Return the identity, which takes 2**56 bytes for more than three rows."""
    nodes = [
        ("Shape", "x", "rows", {"end": 1}),
        ("Greater", "rows three", "many", {}),
        ("Where", "many huge one", "size", {}),
        ("ConstantOfShape", "size", "zeros", {}),
        ("ReduceMax", "zeros", "zero", {"keepdims": 0}),
        ("Add", "x zero", "logits", {}),
    ]
    numbers = {name: np.array([value]) for name, value in (("three", 3), ("huge", 2**54), ("one", 1))}
    return model_of(nodes, {"x": (FLOAT, ["N", 5])}, {"logits": (FLOAT, ["N", 5])}, numbers)


def test_a_real_lack_of_memory_halves_the_batch():
    with pytest.warns(UserWarning, match=r"out of memory; continuing with smaller batches"):
        distributions = run(greedy(), INPUTS, output_mode="logits", batch_size=16)
    check(distributions, reference.softmax(INPUTS))


def test_other_errors_are_no_lack_of_memory():
    with pytest.raises(Exception, match="Invalid rank") as caught:
        LIVE.run(None, {"x": INPUTS[0]})
    assert type(caught.value).__module__.startswith("onnxruntime")
    assert not is_out_of_memory(error=caught.value)
    assert not is_out_of_memory(error=ValueError("out of memory"))
    assert is_out_of_memory(error=MemoryError())


def test_an_error_of_the_model_names_the_batch():
    nodes = [("Reshape", "x two", "y", {})]
    model = model_of(nodes, {"x": (FLOAT, ["N", 5])}, {"y": (FLOAT, None)}, {"two": np.array([16, 5])})
    with pytest.raises(Exception, match="cannot be reshaped") as caught:
        run(model, INPUTS, output_mode="logits")
    assert any("batch 3" in note for note in caught.value.__notes__)
