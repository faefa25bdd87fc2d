"""What changes a model of OpenVINO: each change is refused by a store; what changes nothing is not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as op

from probly.data_generator import StoreError
from probly.data_generator.store import open_store
from probly.data_generator.testing import reference
from probly.data_generator.toolkit.digest import is_seen
from probly_data_generator_openvino.digest import digest_model
from tests.frameworks.openvino import compiled, mlp_model, model_of
from tests.openvino_backend.runs import INPUTS, WEIGHTS, check, generator, run, save

X = INPUTS[:, :3]
PARTS = {"scale": [1.0, 2.0, 3.0], "axis": 1, "then": "negative", "kind": "relu", "alpha": 1.0, "name": "logits"}


def everything(scale, axis, then, kind, alpha, name):
    """Return a model with a part of each sort: a weight, an attribute, operators in the graph and in a branch."""

    def branch(operator):
        part = op.parameter([-1, 3], openvino.Type.f32)
        return openvino.Model([op.result(getattr(op, operator)(part))], [part], operator), part

    def compute(x):
        scaled = op.multiply(x, op.constant(np.float32(scale)))
        curved = op.elu(scaled, alpha) if kind == "elu" else op.relu(scaled)
        chosen = op.if_op(op.constant(np.ones((), bool)))
        (yes, yes_part), (no, no_part) = branch(then), branch("exp")
        chosen.set_then_body(yes)
        chosen.set_else_body(no)
        chosen.set_input(curved.output(0), yes_part, no_part)
        picked = chosen.set_output(yes.get_results()[0], no.get_results()[0])
        rolled = op.roll(picked, op.constant(np.int64([1])), op.constant(np.int64([axis])))
        return {name: rolled}

    return model_of(compute, [-1, 3])


CHANGES = {
    "a weight": {"scale": [1.0, 2.0, 4.0]},
    "a constant that is an axis": {"axis": 0},
    "an operator in a branch": {"then": "sqrt"},
    "an operator": {"kind": "elu"},
    "an attribute": {"kind": "elu", "alpha": 0.5},
    "the name of the output": {"name": "scores"},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.fod"
    run(everything(**PARTS), X, out=path, output_mode="logits")
    return path


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_refused(store, change):
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(everything(**PARTS | CHANGES[change]), X, out=store, output_mode="logits")


def test_each_change_has_a_digest_of_its_own():
    models = [everything(**PARTS), *(everything(**PARTS | change) for change in CHANGES.values())]
    reshaped = everything(**PARTS)
    reshaped.reshape([4, 3])
    assert len({digest_model(model) for model in (*models, reshaped)}) == len(models) + 1


def renamed(model):
    model.set_friendly_name("another")
    for node in model.get_ordered_ops():
        node.set_friendly_name(f"another {node.get_friendly_name()}")
    model.set_rt_info("2.0", ["conversion_parameters", "framework"])


SAME = {"itself": lambda _: None, "names of layers and the history of the model": renamed}


@pytest.mark.parametrize("change", SAME)
def test_what_changes_nothing_is_not(store, change):
    model = everything(**PARTS)
    SAME[change](model)
    assert run(model, X, out=store, output_mode="logits") == run(everything(**PARTS), X, output_mode="logits")


def test_the_digest_is_the_same_in_another_process_after_other_models(store):
    """OpenVINO numbers the layers of a process."""
    code = (
        "from tests.openvino_backend.test_what_changes_a_model import *; mlp_model(WEIGHTS); "
        "print(digest_model(everything(**PARTS)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == digest_model(everything(**PARTS)), done.stderr
    assert open_store(store).verify() is None


def test_bytes_of_both_files_count(tmp_path, path):
    out = tmp_path / "a.fod"
    first = run(path, out=out)
    check(first)
    graph, weights = path.read_text(), path.with_suffix(".bin").read_bytes()
    path.with_suffix(".bin").write_bytes(weights[:4] + bytes([weights[4] ^ 1]) + weights[5:])
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(path, out=out)
    path.with_suffix(".bin").write_bytes(weights)
    path.write_text(graph.replace('type="ReLU"', 'type="Abs"'))
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(path, out=out)
    path.write_text(graph)
    assert run(path, out=out) == first


def test_a_file_that_changed_after_loading_is_noticed(tmp_path, path):
    made = generator(path)
    save(path, mlp_model(reference.mlp_weights(hidden=17)))
    with pytest.raises(
        ValueError, match=r"mlp\.(xml|bin) has changed since the model was loaded; make a new generator"
    ):
        made.generate_distributions(INPUTS, out=tmp_path / "a.fod", progress=False)


def test_a_compiled_model_is_probed_only(tmp_path):
    """What it can be exported to holds the names of layers, which each process counts anew."""
    live = compiled(mlp_model(WEIGHTS))
    assert not is_seen(generator(live)._loaded.digest())
    with pytest.warns(UserWarning, match="what the model learned cannot be seen"):
        check(run(live, out=tmp_path / "a.fod"))
    other = compiled(mlp_model(reference.mlp_weights(seed=3)))
    with (
        pytest.warns(UserWarning, match="only the probe"),
        pytest.raises(StoreError, match="the model or its preprocessing has changed"),
    ):
        run(other, out=tmp_path / "a.fod")


def test_a_store_is_continued_with_the_same_options_only(tmp_path, path):
    run(path, out=tmp_path / "a.fod")
    with pytest.raises(StoreError, match="output"):
        run(path, out=tmp_path / "a.fod", options={"output": "logits"})
