"""What changes a model of LiteRT: each change is refused by a store; what changes nothing is not."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from probly.data_generator import StoreError
from probly.data_generator.store import open_store
from probly.data_generator.testing import reference
from probly.data_generator.toolkit.digest import is_seen
from probly_data_generator_litert.digest import digest_model
from tests.frameworks.litert import INT8, Builder, live, mlp_model
from tests.litert_backend.runs import INPUTS, WEIGHTS, check, generator, run, with_labels


def quantised(weight=1, scale=0.1, zero_point=0, operator="ADD", activation=0):
    made = Builder()
    x, y = made.tensor("x", [-1, 3], INT8, (scale, 0)), made.tensor("y", [-1, 3], INT8, (0.1, zero_point))
    constant = made.constant(np.full((1, 3), weight, np.int8), (0.1, 0))
    kind = {"ADD": "AddOptions", "SUB": "SubOptions"}[operator]
    output = made.operator(operator, [x, constant], y, kind=kind, fusedActivationFunction=activation)
    return made.content({"x": x}, {"y": output})


CHANGES = {
    "a weight": {"weight": 2},
    "the scale of the input": {"scale": 0.2},
    "the zero point of the output": {"zero_point": 3},
    "an operator": {"operator": "SUB"},
    "an activation": {"activation": 1},
}
X = INPUTS[:, :3]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.fod"
    run(quantised(), X, out=path)
    return path


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_refused(store, change):
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(quantised(**CHANGES[change]), X, out=store)


def test_what_changes_nothing_is_not(store, tmp_path):
    assert run(quantised(), X, out=store) == run(quantised(), X)
    assert open_store(store).verify() is None
    (tmp_path / "same.tflite").write_bytes(quantised())
    sources = (quantised(), live(quantised()), tmp_path / "same.tflite")
    assert len({digest_model(generator(same)._loaded.content) for same in sources}) == 1


def test_names_of_classes_count(tmp_path):
    named = [with_labels(mlp_model(WEIGHTS), [("labels.txt", 2, names)]) for names in ("a\nb\nc", "a\nc\nb")]
    run(named[0], out=tmp_path / "a.fod")
    with pytest.raises(StoreError):
        run(named[1], out=tmp_path / "a.fod")


def test_a_file_that_changes_after_loading_is_not_looked_at_again(tmp_path, path):
    made = generator(path)
    path.write_bytes(mlp_model(reference.mlp_weights(seed=3)))
    check(made.generate_distributions(INPUTS, out=tmp_path / "a.fod", progress=False))
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(path, out=tmp_path / "a.fod")


def test_an_interpreter_of_a_path_is_probed_only(tmp_path, path):
    unseen = Interpreter(model_path=str(path))
    assert not is_seen(digest_model(generator(unseen)._loaded.content))
    with pytest.warns(UserWarning, match="what the model learned cannot be seen"):
        check(run(unseen, out=tmp_path / "a.fod"))
    path.write_bytes(mlp_model(reference.mlp_weights(seed=3)))
    with (
        pytest.warns(UserWarning, match="only the probe"),
        pytest.raises(StoreError, match="the model or its preprocessing has changed"),
    ):
        run(Interpreter(model_path=str(path)), out=tmp_path / "a.fod")
