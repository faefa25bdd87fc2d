"""Sources, files that cannot be read, and what a model's columns are called."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from probly.data_generator import FirstOrderDataGenerator, check_backend
from tests.frameworks.litert import Builder, live, mlp_model
from tests.litert_backend.runs import (
    CONVERTED,
    EXPECTED,
    INPUTS,
    LABELS,
    WEIGHTS,
    check,
    generator,
    refused,
    run,
    with_labels,
)

NAMES = "cat\ndog\ngreat white\n"


def build():
    return live(mlp_model(WEIGHTS))


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "Interpreter", "Interpreter of a path", "module"])
def test_every_kind_of_source_gives_the_same_rows(kind, path):
    sources = {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "Interpreter": build(),
        "Interpreter of a path": Interpreter(model_path=str(path)),
        "module": f"{__name__}:build",
    }
    options = {"backend": "litert" if kind in ("bytes", "module") else "auto"}
    distributions = run(sources[kind], (INPUTS, LABELS), **options)
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS)
    assert distributions.meta["backend"] == "litert"
    assert distributions.meta["device"] == "cpu"
    assert "ai-edge-litert" in distributions.meta["versions"]


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(
        TypeError, match=r"expected the path or the bytes of a .tflite file or an ai_edge.* got a function"
    ):
        generator(len)
    with pytest.raises(FileNotFoundError, match="there is no such model file"):
        generator(tmp_path / "none.tflite")
    for device in ("cuda", "CPU", ""):
        with pytest.raises(
            ValueError, match=f"device '{device}' is not available to backend 'litert'; available: 'cpu'"
        ):
            generator(mlp_model(WEIGHTS), device=device)


class Bomb:
    """An object whose pickle writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_damaged_files_are_refused_by_name_and_run_no_code(tmp_path, path):
    content = path.read_bytes()
    for damaged in (b"", b"junk", pickle.dumps(Bomb(tmp_path / "canary")), b"PK\x03\x04"):
        path.write_bytes(damaged)
        refused(ValueError, rf"mlp\.tflite: expected a model of LiteRT, got {len(damaged)} bytes that are none", path)
    for damaged in (content[:-100], content[:300]):
        path.write_bytes(damaged)
        refused(ValueError, r"mlp\.tflite: LiteRT cannot run it: ", path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    refused(ValueError, r"mlp\.tflite: is a pointer of Git LFS.*git lfs pull", path)
    assert not (tmp_path / "canary").exists()
    with pytest.raises(ValueError, match=r"'litert': option 'trust' .*leave it out"):
        generator(mlp_model(WEIGHTS), options={"trust": True})


def test_operators_that_are_not_there_are_named():
    made = Builder()
    x, y = made.tensor("x", [-1, 3]), made.tensor("y", [-1, 3])
    made.operator("CUSTOM", [x], y)
    made.model.operatorCodes[0].customCode = "TheirOwn"
    refused(ValueError, "LiteRT cannot run it: .*TheirOwn.*; convert it with operators of LiteRT alone, or pass",
            made.content({"x": x}, {"y": y}))  # fmt: skip


@pytest.mark.parametrize("source", ["float", "int8", "mlp"])
def test_class_names_are_those_of_the_metadata(source, tmp_path):
    content = mlp_model(WEIGHTS) if source == "mlp" else CONVERTED[source].read_bytes()
    named = with_labels(
        content, [("vocab.txt", 5, "a\nb\nc"), ("labels.txt", 2, NAMES), ("labels_de.txt", 2, "x\ny\nz")]
    )
    (tmp_path / "named.tflite").write_bytes(named)
    given = np.zeros((4, 5), np.float32)
    for model in (tmp_path / "named.tflite", named, live(named)):
        assert run(model, given).class_names == ["cat", "dog", "great white"]
    np.testing.assert_array_equal(run(named, given).probabilities, run(content, given).probabilities)


def test_no_other_file_names_classes():
    """Those of values, such as the numbers of a detector's boxes, and files that no output has."""
    content = mlp_model(WEIGHTS)
    for files in ([("labels.txt", 3, NAMES)], [("labels.txt", 0, NAMES)], []):
        assert run(with_labels(content, files)).class_names is None
    assert run(with_labels(content, [("labels.txt", 2, NAMES)])[:-30]).class_names is None, "the archive is damaged"


def test_names_of_another_number_are_refused_with_the_way_out():
    model = with_labels(mlp_model(WEIGHTS), [("labels.txt", 2, "cat\ndog")])
    refused(ValueError, "the model names 2 classes, but returns 3 columns; set class_names", model)
    assert run(model, class_names=["a", "b", "c"]).class_names == ["a", "b", "c"]


def test_the_installation_works():
    found = check_backend("litert")
    assert found.problem is None, found
    assert list(found.devices) == ["cpu"]


def test_options_are_checked():
    for options, pattern in (
        ({"thread": 1}, "unknown option 'thread'; known: threads"),
        ({"threads": "2"}, r"option 'threads': expected one of range\(0, 1024\), got '2'"),
        ({"output": "nope"}, "option 'output': expected one of None, 'logits', got 'nope'"),
        ({"signature": "nope"}, "option 'signature': expected one of None, 'serving_default', got 'nope'"),
    ):
        with pytest.raises(ValueError, match=pattern):
            generator(mlp_model(WEIGHTS), options=options)
    with pytest.raises(ValueError, match="a live Interpreter has its own; set num_threads"):
        generator(build(), options={"threads": 1})
    check(run(mlp_model(WEIGHTS), options={"threads": 1}))


def test_a_live_interpreter_stays_usable_by_its_owner():
    """LiteRT refuses to resize or invoke one while somebody holds a runner of a signature."""
    model = live(mlp_model(WEIGHTS))
    made = FirstOrderDataGenerator(model, batch_size=16)
    theirs = model.get_signature_runner()
    check(made.generate_distributions(INPUTS, progress=False))
    np.testing.assert_allclose(theirs(x=INPUTS[:1])["logits"].shape, (1, 3))
    del theirs
    model.resize_tensor_input(0, [8, 5])
    model.allocate_tensors()
    check(made.generate_distributions(INPUTS, progress=False), EXPECTED)
    assert model.get_input_details()[0]["shape"].tolist() == [8, 5]


def test_a_live_interpreter_may_be_resized_before_the_first_run():
    model = live(mlp_model(WEIGHTS))
    made = generator(model)
    model.resize_tensor_input(0, [8, 5])
    check(made.generate_distributions(INPUTS, progress=False))
    assert model.get_input_details()[0]["shape"].tolist() == [8, 5], "it stays as its owner wants it"
