"""Models in files, of which none runs code."""

import pickle
import sys

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


@pytest.mark.parametrize(
    ("model", "unknown"),
    [(Identity(), "tests.frameworks.sklearn.Identity"), (RandomForestClassifier(3), "sklearn.tree._tree.Tree")],
)
def test_types_that_skops_does_not_trust_are_listed(tmp_path, model, unknown):
    path, rows = tmp_path / "model.skops", reference.softmax(X)
    skops.io.dump(model.fit(rows, Y), path)
    with pytest.raises(ValueError, match=rf"skops does not trust: {unknown}; .*load\(.*, trusted=\['{unknown}'\]\)"):
        run(path)
    loaded = skops.io.load(path, trusted=[unknown])
    np.testing.assert_allclose(run(loaded, rows).probabilities, model.predict_proba(rows), rtol=0, atol=1e-7)


class Bomb:
    """An object whose pickle runs code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".joblib"])
def test_pickles_are_refused_unopened(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    if suffix == ".joblib":
        joblib.dump(Bomb(tmp_path / "exploded"), path)
    else:
        path.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(ValueError, match=r"runs the code in it.*skops.io.dump"):
        run(path)
    assert not (tmp_path / "exploded").exists()


def test_pickles_under_another_name_are_refused_unopened(tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(ValueError, match="cannot be read as a skops file"):
        run(path)
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
    with pytest.raises(ImportError, match=r'pip install "probly-data-generator-sklearn\[skops\]"'):
        run(path)
