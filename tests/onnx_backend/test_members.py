"""Ensembles of ONNX models, and their hidden layers: results of nodes that a copy of the graph gives out."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from probly.data_generator.testing import reference
from tests.frameworks.onnx import mlp_model, model_of, session
from tests.onnx_backend.runs import EXPECTED, INPUTS, WEIGHTS, check, external_model, generator, refused

HIDDEN = INPUTS @ WEIGHTS.first + WEIGHTS.first_bias
KEEP = ["features:hidden", "features:kept"]


def run(model, keep=KEEP, inputs=INPUTS, **options):
    return generator(model, **options).generate_distributions(inputs, keep=keep, progress=False)


def check_hidden(found):
    check(found)
    np.testing.assert_allclose(found.columns["features:hidden"], HIDDEN, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.columns["features:kept"], np.maximum(found.columns["features:hidden"], 0))


@pytest.mark.parametrize(
    "make",
    [lambda proto: proto, lambda proto: proto.SerializeToString(), session],
    ids=["ModelProto", "bytes", "session"],
)
def test_layers_are_what_the_nodes_compute(make):
    model = make(mlp_model(WEIGHTS))
    check_hidden(run(model))
    if isinstance(model, onnxruntime.InferenceSession):
        assert [output.name for output in model.get_outputs()] == ["logits"]


@pytest.mark.parametrize("live", [False, True])
def test_weights_in_further_files_are_found(tmp_path, live):
    path = str(external_model(tmp_path))
    check_hidden(run(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) if live else path))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "weights.data"]


def test_a_model_of_fixed_rows_is_filled_up_and_cut():
    check_hidden(run(mlp_model(WEIGHTS, rows=7)))


def test_the_models_own_output_may_be_a_layer_and_a_transform_gets_the_own_ones_only():
    found = run(mlp_model(WEIGHTS), ["features:logits", "logits"])
    np.testing.assert_array_equal(found.columns["features:logits"], found.columns["logits"])
    check(run(mlp_model(WEIGHTS), output_transform=reference.softmax))


def test_layers_in_half_precision():
    half = TensorProto.BFLOAT16
    proto = model_of(
        [("Cast", "x", "rounded", {"to": half}), ("Cast", "rounded", "y", {"to": TensorProto.FLOAT})],
        {"x": (TensorProto.FLOAT, ["N", 3])},
        {"y": (TensorProto.FLOAT, ["N", 3])},
    )
    logits = np.array([[1.0, 2.5, -3.0], [0.25, 0.0, 8.0]], np.float32)  # which bfloat16 has
    found = run(proto, ["features:rounded"], logits, output_mode="logits")
    np.testing.assert_array_equal(found.columns["features:rounded"], logits)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ("hiden", "did you mean 'hidden'.* outputs of its nodes are 'hidden', 'positive', 'kept', 'logits'$"),
        ("first layer", "did you mean 'hidden'"),
        ("x", "no node of the graph has the output 'x'; The outputs"),
    ],
)
def test_unknown_layers_are_refused_with_what_there_is(layer, says):
    proto = mlp_model(WEIGHTS)
    proto.graph.node[0].name = "first layer"
    with pytest.raises(ValueError, match=says):
        run(proto, [f"features:{layer}"])


def test_a_session_that_does_not_show_its_graph_has_no_layers(tmp_path):
    onnx.save(mlp_model(WEIGHTS), tmp_path / "model.onnx")
    live = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(ValueError, match="keep: the session does not show its graph: pass the path or the bytes"):
        run(live)


def test_an_ensemble_of_files(tmp_path):
    other = reference.mlp_weights(seed=1)
    for name, weights in (("a", WEIGHTS), ("b", other)):
        onnx.save(mlp_model(weights), tmp_path / f"{name}.onnx")
    found = run([str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")], ["features:hidden"])
    np.testing.assert_allclose(found.members[:, 0], EXPECTED, atol=1e-6)
    np.testing.assert_allclose(found.members[:, 1], reference.softmax(reference.mlp_logits(other, INPUTS)), atol=1e-6)
    np.testing.assert_allclose(found.columns["features:hidden"][:, 0], HIDDEN, rtol=1e-5, atol=1e-5)


def test_dropout_cannot_be_activated():
    refused(
        ValueError, "backend 'onnx' cannot activate stochastic layers .* set members=True", mlp_model(WEIGHTS), passes=2
    )
