"""Sources, files that cannot be read, and what a model's columns are called."""

import pickle
from pathlib import Path

import numpy as np
import openvino
import pytest

from probly.data_generator import FirstOrderDataGenerator, check_backend
from tests.frameworks.openvino import compiled, mlp_model
from tests.openvino_backend.runs import EXPECTED, INPUTS, LABELS, WEIGHTS, check, generator, refused, run, save


def build():
    return mlp_model(WEIGHTS)


@pytest.mark.parametrize("kind", ["path", "text", "Model", "CompiledModel", "module"])
def test_every_kind_of_source_gives_the_same_rows(kind, path):
    sources = {
        "path": path,
        "text": str(path),
        "Model": mlp_model(WEIGHTS),
        "CompiledModel": compiled(mlp_model(WEIGHTS)),
        "module": f"{__name__}:build",
    }
    options = {"backend": "openvino"} if kind == "module" else {}
    distributions = run(sources[kind], (INPUTS, LABELS), **options)
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS)
    assert distributions.meta["backend"] == "openvino"
    assert distributions.meta["device"] == "CPU"
    assert "openvino" in distributions.meta["versions"]
    assert "options" not in distributions.meta


def test_rows_are_those_of_openvino_itself(path):
    request = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    logits = request.infer([INPUTS])[0]
    found = generator(path, batch_size=50).generate_distributions(INPUTS, keep=["logits"], progress=False)
    np.testing.assert_array_equal(found.columns["logits"], logits)


def test_an_onnx_model_that_is_converted_as_the_message_says(tmp_path):
    """Any other suffix is another backend's; the message shows a conversion that keeps all digits."""
    import onnx

    from tests.frameworks.onnx import mlp_model as onnx_model

    path = tmp_path / "mlp.onnx"
    onnx.save(onnx_model(WEIGHTS), path)
    message = refused(ValueError, "expected the .xml of an IR, got the suffix '.onnx'", path, backend="openvino")
    code = message.split("first, ")[1].split(", or use")[0].replace("model.xml", str(tmp_path / "model.xml"))
    exec(code, {"openvino": openvino})
    check(run(tmp_path / "model.xml"))


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"expected the path of an IR's .xml, an openvino.Model .* got a function"):
        generator(len, backend="openvino")
    with pytest.raises(FileNotFoundError, match="there is no such model file"):
        generator(tmp_path / "none.xml")


class Bomb:
    """An object whose pickle writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_damaged_files_are_refused_by_name_and_run_no_code(tmp_path, path):
    graph, weights = path.read_bytes(), path.with_suffix(".bin")
    content = weights.read_bytes()
    for damaged in (b"", b"junk", b"<html></html>", graph[: len(graph) // 2], pickle.dumps(Bomb(tmp_path / "canary"))):
        path.write_bytes(damaged)
        refused(ValueError, r"mlp\.xml: openvino .* cannot read it as an IR", path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    refused(ValueError, r"mlp\.xml: is a pointer of Git LFS.*git lfs pull", path)
    path.write_bytes(graph)
    weights.write_bytes(content[:-8])
    refused(ValueError, r"mlp\.xml: openvino .* cannot read it as an IR", path)
    weights.unlink()
    refused(ValueError, r"its weights, mlp\.bin, are not beside it", path)
    weights.write_bytes(content)
    check(run(path))
    assert not (tmp_path / "canary").exists()
    with pytest.raises(ValueError, match=r"'openvino': option 'trust' .*leave it out"):
        generator(path, options={"trust": True})


def named(names):
    model = mlp_model(WEIGHTS)
    model.set_rt_info(names, ["model_info", "labels"])
    return model


def test_class_names_are_those_of_the_model(tmp_path):
    for names in (["cat", "dog", "great_white"], "cat dog great_white"):
        assert run(named(names)).class_names == ["cat", "dog", "great_white"]
        assert run(save(tmp_path / "named.xml", named(names))).class_names == ["cat", "dog", "great_white"]
    assert run(named(["cat", "dog", "great white"])).class_names == ["cat", "dog", "great white"]
    assert run(mlp_model(WEIGHTS)).class_names is None


def test_names_of_another_number_are_refused_with_the_way_out():
    refused(ValueError, "the model names 2 classes, but returns 3 columns; set class_names", named(["cat", "dog"]))
    assert run(named(["cat", "dog"]), class_names=["a", "b", "c"]).class_names == ["a", "b", "c"]
    refused(ValueError, "class_names", named(["cat", "dog", "emu"]), class_names=["cat", "emu", "dog"])


def test_the_installation_works():
    found = check_backend("openvino")
    assert found.problem is None, found
    assert "CPU" in found.devices


def test_a_live_model_that_changes_before_the_first_run_is_compiled_again():
    model = mlp_model(WEIGHTS)
    made = FirstOrderDataGenerator(model)
    constant = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Constant")
    assert made._loaded.is_current()
    zeros = openvino.opset13.constant(np.zeros(constant.get_output_shape(0), np.float32))
    for target in constant.output(0).get_target_inputs():
        target.replace_source_output(zeros.output(0))
    assert not made._loaded.is_current()
    rows = made.generate_distributions(INPUTS, progress=False).probabilities
    assert np.abs(rows - EXPECTED).max() > 0.1
