"""What changes an estimator: each change is refused by a store, by its digest or by the probe."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from probly.data_generator import FirstOrderDataGenerator, StoreError
from probly_data_generator_sklearn.digest import digest_of_fitted

X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.array(["a", "b", "c"])[np.argmax(X + 0.3 * X[:, ::-1], axis=1)]
TEXTS = np.array(["sun", "rain and wind", "wind", "sun and rain", "snow", "no wind"] * 10, object)
FACTOR = 2.0


class Settings:
    factor = 2.0


class Densities(ClassifierMixin, BaseEstimator):
    """An estimator of one's own, whose attributes are called like what does not matter to those of scikit-learn."""

    def __init__(self, memory=1.0, power=1.0):
        self.memory, self.verbose, self.power = memory, {"a": 1.0}, power

    def fit(self, rows, labels, weights=None):
        self.classes_ = np.unique(labels)
        self.trees_ = [KernelDensity(bandwidth=2.0) for _ in self.classes_]
        for tree, name in zip(self.trees_, self.classes_, strict=True):
            tree.fit(rows[labels == name], sample_weight=None if weights is None else weights[labels == name])
        return self

    def predict_proba(self, rows):
        logits = self.memory * np.stack([tree.score_samples(rows) for tree in self.trees_], axis=1) ** self.power
        scores = np.exp(logits * self.verbose["a"])
        return scores / scores.sum(axis=1, keepdims=True)


def function(rows, by=1.0):
    return rows * by


def with_global(rows):
    return rows * FACTOR


def with_setting(rows):
    return rows * Settings.factor


def after(function, **settings):
    return make_pipeline(FunctionTransformer(function, **settings), GaussianNB())


def vote(**settings):
    members = [("tree", RandomForestClassifier(3, random_state=0)), ("bayes", GaussianNB())]
    return VotingClassifier(members, voting="soft", **settings)


def step(name, attribute, value):
    """Return a change of a fitted attribute of a step of a pipeline."""
    return lambda model: setattr(model[name], attribute, value)


def add(array):
    """Add other numbers to each entry in place; the same for all would often change no row."""
    array += np.linspace(0.1, 0.5, array.size).reshape(array.shape)


TABLE = {
    "a coefficient": (LogisticRegression, lambda model: add(model.coef_)),
    "an intercept": (LogisticRegression, lambda model: add(model.intercept_)),
    "a prior": (GaussianNB, lambda model: setattr(model, "class_prior_", np.array([0.5, 0.25, 0.25]))),
    "a variance": (GaussianNB, lambda model: add(model.var_)),
    "the order of the classes": (GaussianNB, lambda model: setattr(model, "classes_", model.classes_[::-1])),
    "a setting that is read when predicting": (KNeighborsClassifier, lambda model: model.set_params(n_neighbors=2)),
    "weights by distance": (KNeighborsClassifier, lambda model: model.set_params(weights="distance")),
    "an activation": (
        lambda: MLPClassifier(4, max_iter=9, random_state=0),
        lambda model: setattr(model, "activation", "tanh"),
    ),
    "a bias of a network": (
        lambda: MLPClassifier(4, max_iter=9, random_state=0),
        lambda model: add(model.intercepts_[1]),
    ),
    "a kernel's width": (
        lambda: CalibratedClassifierCV(SVC(), cv=2, ensemble=False),
        lambda model: setattr(model.calibrated_classifiers_[0].estimator, "_gamma", 2.0),
    ),
    "a threshold of a tree": (
        lambda: RandomForestClassifier(3, random_state=0),
        lambda model: add(model.estimators_[1].tree_.threshold),
    ),
    "a leaf of a tree": (
        lambda: RandomForestClassifier(3, random_state=0),
        lambda model: model.estimators_[1].tree_.value[:, 0].sort(),
    ),
    "a member's columns": (
        lambda: BaggingClassifier(GaussianNB(), 3, max_features=2, random_state=0),
        lambda model: model.estimators_features_[0].sort(),
    ),
    "a rate of boosting": (
        lambda: GradientBoostingClassifier(n_estimators=3, random_state=0),
        lambda model: setattr(model, "learning_rate", 0.5),
    ),
    "the weights of a vote": (vote, lambda model: model.set_params(weights=[3, 1])),
    "the way of a vote": (lambda: vote(weights=[1, 1]), lambda model: setattr(model, "weights", [1, 2])),
    "a scale in a pipeline": (
        lambda: make_pipeline(StandardScaler(), GaussianNB()),
        lambda model: add(model["standardscaler"].scale_),
    ),
    "what stands for a missing value": (
        lambda: make_pipeline(SimpleImputer(missing_values=X[0, 0]), GaussianNB()),
        lambda model: add(model["simpleimputer"].statistics_),
    ),
    "the edges of bins": (
        lambda: make_pipeline(KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), MultinomialNB()),
        lambda model: add(model["kbinsdiscretizer"].bin_edges_[0][1:2]),
    ),
    "the columns of a step": (
        lambda: make_pipeline(ColumnTransformer([("scaled", StandardScaler(), [0, 1])]), GaussianNB()),
        lambda model: setattr(model[0], "transformers_", [("scaled", model[0].transformers_[0][1], [1, 0])]),
    ),
    "a function": (lambda: after(function), step("functiontransformer", "func", lambda rows: rows * 3)),
    "a function's argument": (lambda: after(function), step("functiontransformer", "kw_args", {"by": 2.0})),
    "one of a restricted search": (
        lambda: GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9]}, cv=2),
        lambda model: add(model.best_estimator_.theta_),
    ),
    "one behind a threshold": (
        lambda: OneVsRestClassifier(LogisticRegression()),
        lambda model: add(model.estimators_[2].coef_),
    ),
    "what calibrates": (
        lambda: CalibratedClassifierCV(GaussianNB(), cv=2),
        lambda model: setattr(model.calibrated_classifiers_[0].calibrators[0], "a_", -3.0),
    ),
    "what is calibrated": (
        lambda: CalibratedClassifierCV(GaussianNB(), cv=2),
        lambda model: add(model.calibrated_classifiers_[1].estimator.theta_),
    ),
    "an attribute of an own estimator": (Densities, lambda model: setattr(model, "memory", 0.5)),
    "another attribute of it": (Densities, lambda model: model.verbose.update(a=0.5)),
    "a setting of it": (Densities, lambda model: model.set_params(power=3.0)),
    "the weights of the points of a tree": (Densities, lambda model: model.fit(X, Y, np.arange(60.0) + 1)),
}
"""For each: how the estimator is made, and what is done to it after it was fitted."""


def run(model, path, data=X):
    made = FirstOrderDataGenerator(model, backend="sklearn", output_mode="probs")
    return made.generate_distributions(data, out=path, progress=False)


REFUSED = "model digest: the store has 'sha256:"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("change", TABLE)
def test_a_changed_estimator_is_refused(tmp_path, change):
    make, alter = TABLE[change]
    model = make().fit(X, Y)
    run(model, tmp_path / "a.fod")
    first = model.predict_proba(X), model.classes_
    alter(model)
    assert not all(map(np.array_equal, first, (model.predict_proba(X), model.classes_))), "the change matters"
    with pytest.raises(StoreError, match=rf"{REFUSED}|class_names"):
        run(model, tmp_path / "a.fod")


VOCABULARIES = {
    "words": (CountVectorizer, lambda step: step.vocabulary_.update(sun=step.vocabulary_["rain"])),
    "weights of words": (TfidfVectorizer, lambda step: add(step.idf_)),
    "a pattern": (CountVectorizer, lambda step: setattr(step, "token_pattern", r"\w+d")),
    "words that are left out": (CountVectorizer, lambda step: setattr(step, "stop_words", ["wind"])),
    "a function that cuts words": (CountVectorizer, lambda step: setattr(step, "tokenizer", str.split)),
    "an analyzer": (CountVectorizer, lambda step: setattr(step, "analyzer", lambda text: text.split()[-1:])),
}


@pytest.mark.filterwarnings("ignore:The parameter 'token_pattern' will not be used")
@pytest.mark.parametrize("change", VOCABULARIES)
def test_vocabularies_count(tmp_path, change):
    kind, alter = VOCABULARIES[change]
    model = make_pipeline(kind(), MultinomialNB()).fit(TEXTS, Y)
    run(model, tmp_path / "a.fod", TEXTS)
    alter(model[0])
    with pytest.raises(StoreError, match=REFUSED):
        run(model, tmp_path / "a.fod", TEXTS)


def test_categories_count(tmp_path):
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), GaussianNB())
    model[0].set_params(sparse_output=False)
    model.fit(TEXTS[:, None], Y)
    run(model, tmp_path / "a.fod", TEXTS[:, None])
    model[0].categories_[0][:2] = model[0].categories_[0][1::-1]
    with pytest.raises(StoreError, match=REFUSED):
        run(model, tmp_path / "a.fod", TEXTS[:, None])


@pytest.mark.parametrize("function", [with_global, with_setting])
def test_what_a_function_of_a_pipeline_reads_counts(tmp_path, monkeypatch, function):
    model = after(function).fit(X, Y)
    run(model, tmp_path / "a.fod")
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    monkeypatch.setattr(Settings, "factor", 3.0)
    with pytest.raises(StoreError, match=REFUSED):
        run(model, tmp_path / "a.fod")


def test_what_methods_read_is_probed(tmp_path, monkeypatch):
    model = Densities().fit(X, Y)
    run(model, tmp_path / "a.fod")
    monkeypatch.setattr(Densities, "predict_proba", lambda self, rows: np.full((len(rows), 3), 1 / 3))
    with pytest.raises(StoreError, match="the model or its preprocessing has changed"):
        run(model, tmp_path / "a.fod")


def test_settings_of_how_and_not_what_do_not_count():
    model = vote().fit(X, Y)
    first = digest_of_fitted(model)
    assert digest_of_fitted(model.set_params(n_jobs=2, verbose=True)) == first
    assert digest_of_fitted(model.set_params(flatten_transform=False)) != first
