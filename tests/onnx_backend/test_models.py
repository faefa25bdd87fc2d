"""Sources: what is taken for a model, and what is said of those that cannot be loaded."""

import os
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import numpy as np
import onnxruntime
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.frameworks.onnx import FLOAT, mlp_model, model_of, session
from tests.onnx_backend.runs import (
    INPUTS,
    LABELS,
    LIVE,
    WEIGHTS,
    check,
    generator,
    run,
)


def build():
    return session(mlp_model(WEIGHTS))


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "bytearray", "memoryview", "proto", "session", "module"])
def test_every_kind_of_source_gives_the_same_rows(kind, path):
    content = path.read_bytes()
    sources = {
        "path": path,
        "text": str(path),
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "proto": mlp_model(WEIGHTS),
        "session": LIVE,
        "module": f"{__name__}:build",
    }
    distributions = run(sources[kind], (INPUTS, LABELS))
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS)
    assert distributions.meta["device"] == "cpu"
    assert "onnxruntime" in distributions.meta["versions"]


@pytest.mark.parametrize("model", [LIVE, mlp_model(WEIGHTS)], ids=["session", "proto"])
def test_live_objects_are_recognized(model):
    assert FirstOrderDataGenerator(model).framework == "onnx"


def test_a_file_tells_its_backend_by_its_suffix(path):
    for source in (path, str(path)):
        made = FirstOrderDataGenerator(source)
        assert made.framework == "onnx"
        check(made.generate_distributions(INPUTS, progress=False))


def test_both_names_are_the_same_backend():
    check(run(LIVE, INPUTS, backend="onnxruntime"))


def test_a_function_is_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"got a function; export a model"):
        generator(lambda batch: batch)


def test_a_model_changed_between_two_runs_counts():
    model = mlp_model(WEIGHTS)
    made = generator(model)
    check(made.generate_distributions(INPUTS, progress=False))
    other = reference.mlp_weights(seed=5)
    model.CopyFrom(mlp_model(other))
    expected = reference.softmax(reference.mlp_logits(other, INPUTS))
    check(made.generate_distributions(INPUTS, progress=False), expected)


def test_loading_imports_neither_onnxruntime_nor_onnx_and_recognizes_nothing_wrongly():
    code = (
        "import sys\n"
        "import probly_data_generator_onnx.backend as backend\n"
        "import pathlib\n"
        "assert backend.recognizes(pathlib.Path('net.onnx')) is True\n"
        "assert backend.recognizes(pathlib.Path('NET.ONNX')) is True\n"
        "for source in (lambda batch: batch, b'', 'net.onnx', pathlib.Path('net.pt2')):\n"
        "    assert backend.recognizes(source) is False, source\n"
        "print([name for name in ('onnxruntime', 'onnx', 'ml_dtypes') if name in sys.modules])\n"
    )
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


@hypothesis.given(st.data())
def test_part_of_a_model_is_refused(data):
    content = mlp_model(WEIGHTS).SerializeToString()
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ValueError, match="the bytes of the model: "):
        generator(content[:cut])


@hypothesis.given(st.binary(max_size=200))
def test_other_bytes_are_refused(content):
    with pytest.raises(ValueError, match="the bytes of the model: "):
        generator(content)


def test_what_often_lies_in_place_of_a_model_is_named(tmp_path):
    pointer = tmp_path / "pointer.onnx"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    with pytest.raises(ValueError, match=r"pointer.onnx: is a pointer of Git LFS.*git lfs pull"):
        generator(pointer)
    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "model.ort")
    settings.add_session_config_entry("session.save_model_format", "ORT")
    settings.log_severity_level = 4
    onnxruntime.InferenceSession(mlp_model(WEIGHTS).SerializeToString(), settings, providers=["CPUExecutionProvider"])
    with pytest.raises(ValueError, match=r"model.ort: is in ORT format; pass an onnxruntime.InferenceSession"):
        generator(tmp_path / "model.ort")
    live = onnxruntime.InferenceSession(str(tmp_path / "model.ort"), providers=["CPUExecutionProvider"])
    check(run(live, INPUTS))


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"opset": 99}, r"needs opset 99 of ai.onnx, onnxruntime [\d.]+ knows \d+ and older; .*opset_version=\d+"),
        ({"domains": [("ai.onnx.ml", 99)]}, r"needs opset 99 of ai.onnx.ml, onnxruntime [\d.]+ knows \d+ and older"),
        ({"ir_version": 99}, r"has the IR version 99, onnxruntime [\d.]+ reads \d+ and older; install a newer"),
    ],
)
def test_a_model_that_is_too_new_is_explained(options, pattern, tmp_path):
    path = tmp_path / "new.onnx"
    path.write_bytes(mlp_model(WEIGHTS, **options).SerializeToString())
    with pytest.raises(ValueError, match=f"new.onnx: it {pattern}"):
        generator(path)


def test_an_operator_that_nobody_knows_is_named():
    nodes = [("Wavelet", "x", "y", {"domain": "own"})]
    model = model_of(nodes, {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 3])}, domains=[("own", 1)])
    with pytest.raises(ValueError, match=r"does not know its operator own:Wavelet.*register_custom_ops_library"):
        generator(model)


def test_any_other_reason_is_passed_on_with_the_versions():
    nodes = [("MatMul", "x absent", "y", {})]
    model = model_of(nodes, {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 3])})
    with pytest.raises(ValueError, match=r"cannot load it \(IR version 10, opset ai.onnx 21\): .*absent"):
        generator(model)
