"""Models in files: none runs code unless the user trusts it."""

import contextlib
import json
import pickle
import re
import sys
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from probly.data_generator.installing import install_advice
from probly.data_generator.testing import reference
from tests.frameworks.sklearn import Identity
from tests.sklearn_backend.runs import SPECIES, X, Y, run


def test_skops_files_are_opened(tmp_path):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, SPECIES)
    skops.io.dump(model, tmp_path / "model.skops")
    for path in (tmp_path / "model.skops", str(tmp_path / "model.skops")):
        distributions = run(path, backend="auto")
        np.testing.assert_allclose(distributions.probabilities, model.predict_proba(X), rtol=0, atol=1e-7)
        assert distributions.class_names == ["setosa", "versicolor", "virginica"]


TRUSTED = {"trust": True}
HOW = r"so it was not opened; if you trust .* options=\{'trust': True\}, or --trust-model on the command line"


@pytest.mark.parametrize(
    ("model", "unknown"),
    [(Identity(), "tests.frameworks.sklearn.Identity"), (RandomForestClassifier(3), "sklearn.tree._tree.Tree")],
)
def test_types_that_skops_does_not_trust_are_listed(tmp_path, model, unknown):
    path, rows = tmp_path / "model.skops", reference.softmax(X)
    skops.io.dump(model.fit(rows, Y), path)
    with pytest.raises(ValueError, match=rf"model.skops: .*types that skops does not trust \({unknown}\), {HOW}"):
        run(path)
    distributions = run(path, rows, options=TRUSTED)
    np.testing.assert_allclose(distributions.probabilities, model.predict_proba(rows), rtol=0, atol=1e-7)
    assert "options" not in distributions.meta


class Bomb:
    """An object whose pickle runs code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class Exploding:
    """An object that runs code when skops sets its state."""

    def __init__(self, path):
        self.path = str(path)

    def __getstate__(self):
        return {"path": self.path}

    def __setstate__(self, state):
        Path(state["path"]).touch()


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib", "model.PKL", "model.skops"])
def test_crafted_files_run_no_code_unless_they_are_trusted(tmp_path, name):
    path, canary = tmp_path / name, tmp_path / "exploded"
    if name.endswith("joblib"):
        joblib.dump(Bomb(canary), path)
    elif name.endswith("skops"):
        skops.io.dump(Exploding(canary), path)
    else:
        path.write_bytes(pickle.dumps(Bomb(canary)))
    with pytest.raises(ValueError, match=rf"{name}: .*{HOW}"):
        run(path)
    assert not canary.exists()
    # It would have: what is refused here is no harmless file.
    with contextlib.suppress(Exception):
        run(path, options=TRUSTED)
    assert canary.exists()


def test_trusted_pickles_give_their_rows(tmp_path):
    model = RandomForestClassifier(3, random_state=0).fit(X, Y)
    joblib.dump(model, tmp_path / "model.joblib")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    for name in ("model.joblib", "model.pkl"):
        distributions = run(tmp_path / name, options=TRUSTED)
        np.testing.assert_allclose(distributions.probabilities, model.predict_proba(X), rtol=0, atol=1e-7)
        assert "options" not in distributions.meta
    (tmp_path / "model.pkl").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"model\.pkl: cannot be read as a pickle"):
        run(tmp_path / "model.pkl", options=TRUSTED)


def test_live_models_need_no_trust():
    model = GaussianNB().fit(X, Y)
    np.testing.assert_array_equal(run(model).probabilities, run(model, options=TRUSTED).probabilities)


def test_types_that_a_skops_file_renames_are_not_made(tmp_path):
    """The types that are checked are those that are made: operators and functions, too."""
    path = tmp_path / "model.skops"
    for loader, module, name in (
        ("FunctionNode", "os", "system"),
        ("ObjectNode", "subprocess", "Popen"),
        ("OperatorFuncNode", "operator", "methodcaller"),
        ("TypeNode", "os", "system"),
        ("MethodNode", "os", "system"),
    ):
        part = {"__class__": name, "__module__": module, "__loader__": loader, "__id__": 1, "content": {}}
        schema = {**part, "protocol": 2, "_skops_version": skops.__version__}
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("schema.json", json.dumps(schema))
        with pytest.raises(ValueError, match=r"model\.skops"):
            run(path)


def test_pickles_under_another_name_are_refused_unopened(tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    for options in ({}, TRUSTED):
        with pytest.raises(ValueError, match="cannot be read as a skops file"):
            run(path, options=options)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("kept", [0, 10, 500])
def test_damaged_files_are_refused(tmp_path, kept):
    path = tmp_path / "model.skops"
    path.write_bytes(skops.io.dumps(GaussianNB().fit(X, Y))[:kept])
    with pytest.raises(ValueError, match=r"model.skops: cannot be read as a skops file: BadZipFile"):
        run(path)


def test_files_that_hold_no_classifier_are_refused(tmp_path):
    path = tmp_path / "model.skops"
    for content, error, says in (({"a": 1}, TypeError, "got dict"), (GaussianNB(), NotFittedError, "not fitted")):
        skops.io.dump(content, path)
        with pytest.raises(error, match=says):
            run(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing.skops: there is no such model file"):
        run(tmp_path / "nothing.skops")
    with pytest.raises(ValueError, match=r"expected an estimator, a .skops file or .*got 'model.pt'"):
        run("model.pt")


def test_what_skops_files_need_is_said(tmp_path, monkeypatch):
    path = tmp_path / "model.skops"
    skops.io.dump(GaussianNB().fit(X, Y), path)
    monkeypatch.setitem(sys.modules, "skops", None)
    with pytest.raises(ImportError, match=re.escape(install_advice("probly-data-generator-sklearn[skops]"))):
        run(path)
