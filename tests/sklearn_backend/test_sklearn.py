"""scikit-learn models: which are taken, what their scores mean, how their columns are called."""

import pickle
import sys
import types
import warnings

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest, RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from probly.data_generator import FirstOrderDataGenerator, create_data_generator
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.testing import reference
from tests.frameworks.sklearn import Identity

X, Y = load_iris(return_X_y=True)
SPECIES = np.array(["setosa", "versicolor", "virginica"])[Y]
DECISIONS = {"options": {"scores": "decision_function"}, "output_mode": "logits"}

CLASSIFIERS = {
    "linear": LogisticRegression(max_iter=500),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "search": GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, cv=3),
    "search in a pipeline": make_pipeline(
        StandardScaler(), GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-3]})
    ),
    "calibrated": CalibratedClassifierCV(LinearSVC(), cv=3),
    "frozen and calibrated": CalibratedClassifierCV(FrozenEstimator(RidgeClassifier().fit(X, SPECIES))),
    "forest": RandomForestClassifier(10, random_state=0, n_jobs=2),
    "boosting": HistGradientBoostingClassifier(max_iter=5),
    "neighbours": KNeighborsClassifier(),
    "vote": VotingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier())], voting="soft"),
    "network": MLPClassifier(8, solver="lbfgs", max_iter=2000, alpha=1.0, random_state=0),
    "one against the rest": OneVsRestClassifier(GaussianNB()),
}


def run(model, data=(X, SPECIES), **options):
    """Return the distributions of one run."""
    options = {"batch_size": 32, "backend": "sklearn", **options}
    return FirstOrderDataGenerator(model, **options).generate_distributions(data, progress=False)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_rows_are_those_of_predict_proba(name):
    model = CLASSIFIERS[name].fit(X, SPECIES)
    distributions = run(model, backend="auto")
    np.testing.assert_allclose(distributions.probabilities, model.predict_proba(X), rtol=0, atol=1e-7)
    assert distributions.meta["backend"] == "sklearn"
    assert distributions.meta["output_mode"] == "probs"
    assert distributions.meta["device"] == "cpu"
    assert "scikit-learn" in distributions.meta["versions"]
    assert distributions.class_names == ["setosa", "versicolor", "virginica"]
    np.testing.assert_array_equal(distributions.labels, SPECIES)


def test_both_names_are_one_backend():
    assert find_backend("scikit-learn") == find_backend("sklearn")
    assert find_backend("sklearn").aliases == ("scikit-learn", "sklearn")


def test_anything_with_predict_proba_is_taken():
    mixture = GaussianMixture(3, random_state=0).fit(X)
    assert run(mixture, X, backend="auto").class_names is None
    np.testing.assert_allclose(run(mixture, X).probabilities, mixture.predict_proba(X), rtol=0, atol=1e-7)
    stranger = types.SimpleNamespace(predict_proba=reference.softmax, classes_=["no", "yes"])
    assert run(stranger, X[:, :2]).class_names == ["no", "yes"]


def test_functions_return_logits_or_probabilities():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    np.testing.assert_allclose(run(model.predict_proba).probabilities, model.predict_proba(X), rtol=0, atol=1e-7)
    logits = run(model.decision_function)
    assert logits.meta["output_mode"] == "logits"
    np.testing.assert_allclose(logits.probabilities, model.predict_proba(X), rtol=0, atol=1e-7)
    mean = run(lambda batch: (model.predict_proba(batch) + 1 / 3) / 2)
    np.testing.assert_allclose(mean.probabilities, (model.predict_proba(X) + 1 / 3) / 2, rtol=0, atol=1e-7)


@pytest.mark.parametrize("labels", [Y, SPECIES])
def test_labels_instead_of_scores_are_refused(labels):
    model = LogisticRegression(max_iter=500).fit(X, labels)
    with pytest.raises(TypeError, match="predict_proba, not predict"):
        run(model.predict)


# What is no fitted classifier


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
        ([LogisticRegression()], "got list"),
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


# Models without probabilities


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


def test_decision_functions_become_softmax_by_choice():
    model = RidgeClassifier().fit(X, SPECIES)
    distributions = run(model, **DECISIONS)
    expected = reference.softmax(model.decision_function(X))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-7)
    assert distributions.class_names == ["setosa", "versicolor", "virginica"]
    assert distributions.meta["options"] == {"scores": "decision_function"}
    assert distributions.meta["output_mode"] == "logits"


def test_decision_functions_of_two_classes_become_sigmoid():
    two = Y > 0
    model = LinearSVC().fit(X[two], SPECIES[two])
    distributions = run(model, (X[two], SPECIES[two]), **DECISIONS)
    scores = model.decision_function(X[two])
    np.testing.assert_allclose(distributions.probabilities[:, 1], 1 / (1 + np.exp(-scores)), rtol=0, atol=1e-7)
    assert distributions.class_names == ["versicolor", "virginica"]
    predicted = np.array(distributions.class_names)[distributions.probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(predicted, model.predict(X[two]))


def test_a_choice_holds_for_models_that_have_both():
    model = LogisticRegression(max_iter=500).fit(X, SPECIES)
    assert "options" not in run(model, options={"scores": "predict_proba"}).meta
    chosen = run(model, **DECISIONS)
    assert chosen.meta["options"] == {"scores": "decision_function"}
    np.testing.assert_allclose(chosen.probabilities, model.predict_proba(X), rtol=0, atol=1e-7)


@pytest.mark.parametrize("output_mode", ["auto", "probs"])
def test_decision_functions_are_never_probabilities(output_mode):
    """Scores of a small batch may look like them."""
    model = RidgeClassifier().fit(X, SPECIES)
    with pytest.raises(ValueError, match=r'RidgeClassifier.decision_function .*set output_mode="logits"'):
        run(model, options=DECISIONS["options"], output_mode=output_mode)


def test_scores_of_pairs_of_classes_are_refused():
    digits = np.arange(150) % 4
    model = SVC(decision_function_shape="ovo").fit(X, digits)
    with pytest.raises(
        ValueError, match=r'expected 4 columns, one per class, got 6; set decision_function_shape="ovr"'
    ):
        run(model, **DECISIONS)


def test_scores_without_classes_are_refused():
    with pytest.raises(ValueError, match=r"IsolationForest has a decision_function, but no classes_"):
        run(IsolationForest().fit(X), **DECISIONS)
    with pytest.raises(ValueError, match="the model is a function"):
        run(lambda batch: batch, **DECISIONS)
    with pytest.raises(ValueError, match=r"GaussianNB has no decision_function .*leave it out"):
        run(GaussianNB().fit(X, Y), **DECISIONS)


def test_unknown_options_are_refused():
    model = GaussianNB().fit(X, Y)
    with pytest.raises(ValueError, match="unknown option 'score'; known: scores"):
        run(model, options={"score": "decision_function"})
    with pytest.raises(ValueError, match="expected one of 'predict_proba', 'decision_function', got 'predict'"):
        run(model, options={"scores": "predict"})


def test_probabilities_are_never_logits():
    model = GaussianNB().fit(X, SPECIES)
    with pytest.raises(ValueError, match=r'GaussianNB.predict_proba returns probabilities.*set output_mode="probs"'):
        run(model, output_mode="logits")


def test_labels_that_do_not_exclude_each_other_are_refused():
    """Their probabilities sum to anything; softmax over them would mean nothing."""
    labels = np.stack([Y == 0, Y > 0, Y == 2], axis=1).astype(int)
    model = OneVsRestClassifier(GaussianNB()).fit(X, labels)
    with pytest.raises(ValueError, match="a row of the first batch is no distribution"):
        run(model, X[::-1])
    with pytest.raises(ValueError, match=r"batch 0, index \d+: the row is no distribution, it sums to"):
        run(model, X[::-1], output_mode="probs")


# Classes


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (np.array(["b", "c", "a"]), ["a", "b", "c"]),
        (np.array(["b", "c", "a"], object), ["a", "b", "c"]),
        (np.array([7, 3, 100]), ["3", "7", "100"]),
        (np.array([2, 1, 0]), ["0", "1", "2"]),
        (np.array([2.0, 1.0, 3.0]), ["1", "2", "3"]),
        (np.array([True, False, True]), ["False", "True"]),
    ],
)
def test_labels_are_compared_with_the_names_of_classes(classes, names):
    labels = classes[Y]
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, labels)
    made = create_data_generator("sklearn", model, (X, labels))
    report = made.generate()
    assert report["metrics"]["accuracy"] == pytest.approx(model.score(X, labels))
    counts = {names[position]: int(count) for position, count in enumerate(np.unique(labels, return_counts=True)[1])}
    assert report["class_distribution"]["ground_truth"] == counts
    assert made.distributions.class_names == names


@pytest.mark.parametrize("model", [GaussianNB(), RandomForestClassifier(2)])
def test_one_class_is_certain(model):
    distributions = run(model.fit(X, ["iris"] * 150))
    np.testing.assert_array_equal(distributions.probabilities, np.ones((150, 1)))
    assert distributions.class_names == ["iris"]


def test_several_outputs_are_refused_with_the_way_out():
    model = RandomForestClassifier(5, random_state=0).fit(X, np.stack([Y, Y % 2], axis=1))
    with pytest.raises(TypeError, match=r"list of 2, one per output.*output_transform=lambda outputs: outputs\[0\]"):
        run(model, X)
    second = run(model, X, output_transform=lambda outputs: outputs[1])
    np.testing.assert_allclose(second.probabilities, model.predict_proba(X)[1], rtol=0, atol=1e-7)
    assert second.class_names is None


def test_another_number_of_columns_is_refused():
    class Cut(Identity):
        classes_ = ("a", "b", "c", "d", "e")

    with pytest.raises(
        ValueError, match=r"Cut.predict_proba: expected 5 columns, one per class, got 4; set output_tra"
    ):
        run(Cut(), X)


def test_to_probs_takes_what_the_model_returns():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    generator = FirstOrderDataGenerator(model, backend="sklearn")
    np.testing.assert_allclose(generator.to_probs(model.predict_proba(X)), model.predict_proba(X), atol=1e-7)


# Files


def test_skops_files_are_opened(tmp_path):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, SPECIES)
    skops.io.dump(model, tmp_path / "model.skops")
    for path in (tmp_path / "model.skops", str(tmp_path / "model.skops")):
        distributions = run(path)
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


# What is recognized


def test_models_of_other_frameworks_are_not_recognized():
    recognizes = load_backend(find_backend("sklearn")).hook.recognizes
    assert recognizes(model=make_pipeline(FunctionTransformer(), GaussianNB()))
    assert recognizes(model=Identity())
    for framework in ("torch.nn.modules.module", "keras.src.models", "flax.nnx"):
        base = type("Base", (), {"__module__": framework})
        mixed = type("Mixed", (base, LogisticRegression), {})
        assert not recognizes(model=mixed())
    impostor = type("BaseEstimator", (), {"__module__": "mine"})
    for model in (impostor(), GaussianNB().predict_proba, LogisticRegression, lambda batch: batch, "sklearn", None):
        assert not recognizes(model=model)


def test_no_warning_is_lost():
    """The estimator's own warnings reach the user."""

    class Warns(Identity):
        def predict_proba(self, inputs):
            warnings.warn("old", DeprecationWarning, stacklevel=2)
            return inputs

    with pytest.warns(DeprecationWarning, match="old"):
        run(Warns(), reference.softmax(X))


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
