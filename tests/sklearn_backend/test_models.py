"""scikit-learn models: which are taken, which are recognized, and what is said of the others."""

import types
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.testing import reference
from tests.frameworks.sklearn import Identity
from tests.sklearn_backend.runs import CLASSIFIERS, DECISIONS, SPECIES, X, Y, run


def test_both_names_are_one_backend():
    assert find_backend("scikit-learn") == find_backend("sklearn")
    assert find_backend("sklearn").aliases == ("scikit-learn", "sklearn")


def test_anything_with_predict_proba_is_taken():
    mixture = GaussianMixture(3, random_state=0).fit(X)
    assert run(mixture, X, backend="auto").class_names is None
    np.testing.assert_allclose(run(mixture, X).probabilities, mixture.predict_proba(X), rtol=0, atol=1e-7)
    stranger = types.SimpleNamespace(predict_proba=reference.softmax, classes_=["no", "yes"])
    assert run(stranger, X[:, :2]).class_names == ["no", "yes"]


@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if name != "frozen and calibrated"])
def test_unfitted_models_are_refused(name):
    from sklearn.base import clone

    with pytest.raises(NotFittedError, match="is not fitted; call fit"):
        run(clone(CLASSIFIERS[name]))


@pytest.mark.parametrize(
    "model", [Ridge(), make_pipeline(StandardScaler(), Ridge()), GridSearchCV(Ridge(), {"alpha": [1]})]
)
def test_regressors_are_refused(model):
    with pytest.raises(TypeError, match=f"expected a classifier.* got the regressor {type(model).__name__}"):
        run(model.fit(X, Y))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (LogisticRegression, "got the class LogisticRegression; make one of it and fit it"),
        (3, "expected a classifier with predict_proba, or a function of a batch, as model, got int"),
        ({"a": LogisticRegression()}, "got dict"),
    ],
)
def test_what_is_no_model_is_refused(model, says):
    with pytest.raises(TypeError, match=says):
        run(model)


@pytest.mark.parametrize("device", ["cuda", "cpu:1", "gpu"])
def test_there_is_one_device(device):
    model = GaussianNB().fit(X, Y)
    with pytest.raises(ValueError, match=f"{device}' is not available to backend 'sklearn'; available: 'cpu'"):
        run(model, device=device)
    assert run(model, device=None).meta["device"] == "cpu"


@pytest.mark.parametrize("model", [LinearSVC(), RidgeClassifier(), SVC(), SGDClassifier(), GridSearchCV(SVC(), {})])
def test_models_without_probabilities_are_refused_with_the_choices(model):
    model.fit(X, SPECIES)
    for named in ("CalibratedClassifierCV", r'options=\{"scores": "decision_function"\} and output_mode="logits"'):
        with pytest.raises(ValueError, match=f"{type(model).__name__} has no predict_proba .*{named}"):
            run(model, backend="auto")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (KMeans(3), "has no predict_proba .*; it has no decision_function either"),
        (VotingClassifier([("a", GaussianNB())]), "voting='hard'.*; it has no decision_function either"),
        (GridSearchCV(GaussianNB(), {}, refit=False), "refit=False"),
    ],
)
def test_why_there_are_no_probabilities_is_said(model, says):
    with pytest.raises(ValueError, match=says):
        run(model.fit(X, SPECIES))


def test_scores_without_classes_are_refused():
    with pytest.raises(ValueError, match=r"IsolationForest has a decision_function, but no classes_"):
        run(IsolationForest().fit(X), **DECISIONS)
    with pytest.raises(ValueError, match="the model is a function"):
        run(lambda batch: batch, **DECISIONS)
    with pytest.raises(ValueError, match=r"GaussianNB has no decision_function .*leave it out"):
        run(GaussianNB().fit(X, Y), **DECISIONS)


def test_unknown_options_are_refused():
    model = GaussianNB().fit(X, Y)
    with pytest.raises(ValueError, match="unknown option 'score'; known: members, scores, trust"):
        run(model, options={"score": "decision_function"})
    with pytest.raises(ValueError, match="expected one of 'predict_proba', 'decision_function', got 'predict'"):
        run(model, options={"scores": "predict"})


def test_models_are_imported_by_name(tmp_path, monkeypatch):
    source = (
        "from sklearn.datasets import load_iris\nfrom sklearn.naive_bayes import GaussianNB\n"
        "def build():\n    return GaussianNB().fit(*load_iris(return_X_y=True))\nmodel = build()\n"
    )
    (tmp_path / "module_of_mine.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    for path in ("module_of_mine:model", "module_of_mine:build"):
        assert run(path) == run(GaussianNB().fit(X, Y))
        assert run(path, backend="auto").meta["backend"] == "sklearn"
    with pytest.raises(NotFittedError):
        run("sklearn.naive_bayes:GaussianNB")


def test_estimators_and_files_of_skops_are_recognized():
    recognizes = load_backend(find_backend("sklearn")).hook.recognizes
    assert recognizes(source=make_pipeline(FunctionTransformer(), GaussianNB())) is Pipeline
    assert recognizes(source=Identity()) is ClassifierMixin
    assert recognizes(source=Path("model.skops")) is True
    assert recognizes(source=Path("MODEL.SKOPS")) is True
    impostor = type("BaseEstimator", (), {"__module__": "mine"})
    others = [impostor(), GaussianNB().predict_proba, LogisticRegression, lambda batch: batch, "model.skops", None]
    for source in (*others, Path("model.pkl"), Path("model.joblib"), Path("skops")):
        assert recognizes(source=source) is False, source


@pytest.mark.parametrize("module", ["torch.nn.modules.module", "keras.src.models", "xgboost.sklearn"])
def test_models_of_other_frameworks_are_theirs(module):
    """Of several backends that recognize a model, the one of the most specific class gets it."""
    theirs = type("Theirs", (), {"__module__": module})
    for bases in ((theirs, LogisticRegression), (type("Ours", (theirs, LogisticRegression), {}),)):
        model = type("Mixed", bases, {})()
        found = load_backend(find_backend("sklearn")).hook.recognizes(source=model)
        kinds = type(model).__mro__
        assert kinds.index(theirs) < kinds.index(found)


def test_memory_that_does_not_suffice_is_recognized():
    is_out_of_memory = load_backend(find_backend("sklearn")).hook.is_out_of_memory
    with pytest.raises(MemoryError) as caught:
        np.empty(2**59)
    assert is_out_of_memory(error=caught.value)
    assert not is_out_of_memory(error=ValueError())


def test_posteriors_of_estimators_point_to_the_members_of_ensembles():
    generator = FirstOrderDataGenerator(GaussianNB().fit(X, Y), backend="sklearn")
    with pytest.raises(ValueError, match="no Bayesian layer") as caught:
        generator.get_posterior_distributions()
    assert any("member_distributions" in note for note in caught.value.__notes__)


def test_posteriors_of_a_pipeline_are_named_by_its_step():
    from tests.frameworks.sklearn import Bayesian

    mu = np.zeros((4, 3))
    model = make_pipeline(FunctionTransformer(), Bayesian(mu, mu - 1))
    posterior = FirstOrderDataGenerator(model, backend="sklearn").get_posterior_distributions()
    assert list(posterior) == ["bayesian"]
    np.testing.assert_array_equal(posterior["bayesian"]["rho"], mu - 1)
    posterior["bayesian"]["mu"][:] = 1
    assert mu.max() == 0, "copies"
