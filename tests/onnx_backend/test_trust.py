"""Crafted files: an ``.onnx`` holds no code, so it needs no trust; what it names outside its folder is never read."""

import pickle
from pathlib import Path

import onnx
import pytest
from onnx import helper

from tests.frameworks.onnx import FLOAT, mlp_model
from tests.onnx_backend.runs import INPUTS, WEIGHTS, check, generator, refused, run


class Bomb:
    """An object whose pickle writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_under_the_name_of_a_model_run_no_code(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "canary")))
    refused(ValueError, "expected an ONNX model", path)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("domain", ["com.microsoft", "ai.onnx.contrib", "org.pytorch.aten", "ai.onnx.ml.python"])
@pytest.mark.parametrize("operator", ["PythonOp", "PyOp", "ATen"])
def test_operators_that_call_python_are_not_known(tmp_path, domain, operator):
    """Only a library that the user registers with a session of their own has any."""
    node = helper.make_node(operator, ["x"], ["y"], domain=domain, module="os", name="system")
    values = [helper.make_tensor_value_info(name, FLOAT, [None, 5]) for name in "xy"]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    path = tmp_path / "model.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    with pytest.raises(ValueError, match=r"model\.onnx"):
        generator(path)


def test_metadata_of_a_model_are_not_evaluated(tmp_path):
    model, canary = mlp_model(WEIGHTS), tmp_path / "canary"
    for name in ("classes", "names", "class_names", "labels", "ort_config"):
        entry = model.metadata_props.add()
        entry.key, entry.value = name, f"__import__('pathlib').Path({str(canary)!r}).touch()"
    onnx.save_model(model, tmp_path / "model.onnx")
    check(run(tmp_path / "model.onnx", INPUTS))
    assert not canary.exists()


def test_there_is_nothing_to_trust():
    with pytest.raises(ValueError, match=r"'onnx': option 'trust' .*leave it out"):
        generator(mlp_model(WEIGHTS), options={"trust": True})
