"""The members of ensembles as samples of the class distribution."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError
from probly_data_generator_sklearn.members import member_distributions

X, Y = load_iris(return_X_y=True)
TABLE = load_iris(as_frame=True).data
CLASSES = np.array(["c", "b", "a"])[Y]  # not in the order of their numbers

FOREST = RandomForestClassifier(7, max_depth=2, random_state=0)
ENSEMBLES = {
    "forest": FOREST,
    "extra trees": ExtraTreesClassifier(7, max_depth=2, random_state=0),
    "bagging": BaggingClassifier(DecisionTreeClassifier(max_depth=2), 7, random_state=0),
    "some features": BaggingClassifier(GaussianNB(), 7, max_features=2, bootstrap_features=True, random_state=0),
    "some classes": BaggingClassifier(KNeighborsClassifier(1), 7, max_samples=3, random_state=0),
    "vote": VotingClassifier([(f"{n}", DecisionTreeClassifier(max_depth=n)) for n in range(1, 8)], voting="soft"),
    "calibrated": CalibratedClassifierCV(GaussianNB(), cv=7),
    "pipeline": make_pipeline(StandardScaler(), FOREST),
    "search": GridSearchCV(FOREST, {"max_depth": [1, 2]}, cv=2),
    "search in a pipeline": make_pipeline(StandardScaler(), GridSearchCV(FOREST, {"max_depth": [1, 2]}, cv=2)),
}


@pytest.mark.parametrize("inputs", [X, TABLE], ids=["array", "table"])
@pytest.mark.parametrize("name", ENSEMBLES)
def test_the_mean_of_the_members_is_the_ensemble(name, inputs):
    model = ENSEMBLES[name].fit(inputs, CLASSES)
    members = member_distributions(model, inputs)
    assert members.shape == (150, 7, 3)
    assert members.dtype == np.float32
    np.testing.assert_allclose(members.mean(axis=1), model.predict_proba(inputs), rtol=0, atol=1e-6)
    np.testing.assert_allclose(members.sum(axis=2), 1, rtol=0, atol=1e-6)
    assert np.ptp(members, axis=1).max() > 0.1, "members differ"


def test_classes_that_a_member_has_not_seen_have_probability_0():
    model = ENSEMBLES["some classes"].fit(X, CLASSES)
    seen = [set(member.classes_) for member in model.estimators_]
    assert any(len(classes) < 3 for classes in seen), "or the test tests nothing"
    members = member_distributions(model, X)
    for number, classes in enumerate(seen):
        unseen = sorted({0, 1, 2} - {int(position) for position in classes})
        assert (members[:, number, unseen] == 0).all()


def test_sparse_inputs():
    import scipy.sparse

    inputs = scipy.sparse.csc_array(np.round(X))
    model = BaggingClassifier(DecisionTreeClassifier(max_depth=2), 7, max_features=3, random_state=0)
    model.fit(inputs, CLASSES)
    members = member_distributions(model, inputs)
    np.testing.assert_allclose(members.mean(axis=1), model.predict_proba(inputs), rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", [GaussianNB(), GradientBoostingClassifier(n_estimators=2)])
def test_other_estimators_are_refused(model):
    with pytest.raises(ValueError, match=f"RandomForestClassifier, .*, got {type(model).__name__}"):
        member_distributions(model.fit(X, CLASSES), X)


def test_several_outputs_are_refused():
    model = RandomForestClassifier(2).fit(X, np.stack([Y, Y], axis=1))
    with pytest.raises(ValueError, match="RandomForestClassifier has several outputs; expected one"):
        member_distributions(model, X)


def test_ensembles_that_are_not_fitted_are_refused():
    with pytest.raises(NotFittedError):
        member_distributions(RandomForestClassifier(), X)


def test_members_without_probabilities_are_refused():
    vote = VotingClassifier([("a", GaussianNB()), ("b", LinearSVC())]).fit(X, CLASSES)
    with pytest.raises(ValueError, match="member 1 of the ensemble, LinearSVC, has no predict_proba"):
        member_distributions(vote, X)


def test_members_are_checked_like_rows():
    class Careless(LogisticRegression):
        def predict_proba(self, inputs):
            return 1.5 * super().predict_proba(inputs)

    vote = VotingClassifier([("a", GaussianNB()), ("b", Careless(max_iter=500))], voting="soft").fit(X, CLASSES)
    with pytest.raises(InvalidOutputError, match=r"member 1 of the ensemble, row 0: no distribution, it sums to 1.5"):
        member_distributions(vote, X)


def test_other_features_are_the_models_own_error():
    model = ENSEMBLES["bagging"].fit(TABLE, CLASSES)
    with pytest.raises(ValueError, match="feature names should match"):
        member_distributions(model, TABLE[TABLE.columns[::-1]])


# The option


def run(model, inputs=X, **options):
    generator = FirstOrderDataGenerator(model, batch_size=64, backend="sklearn", options={"members": True}, **options)
    return generator.generate_distributions(inputs, progress=False)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_a_run_keeps_the_members_whose_mean_is_what_the_model_says(name):
    model = ENSEMBLES[name].fit(X, CLASSES)
    found = run(model, (X, CLASSES))
    np.testing.assert_array_equal(found.members, member_distributions(model, X))
    np.testing.assert_allclose(found.probabilities, model.predict_proba(X), rtol=0, atol=1e-7)
    assert found.class_names == ["a", "b", "c"]
    assert (found.meta["members"], found.meta["options"]) == (7, {"members": True})


def test_an_output_transform_gets_the_members():
    model = ENSEMBLES["forest"].fit(X, CLASSES)
    found = run(model, output_transform=lambda members: members[:, :3])
    np.testing.assert_array_equal(found.members, member_distributions(model, X)[:, :3])


def hard_vote():
    return VotingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier())]).fit(X, Y)


def weighted():
    return VotingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier())], voting="soft", weights=[2, 1])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (GaussianNB().fit(X, Y), "averages its members .RandomForestClassifier, .*, got GaussianNB"),
        (hard_vote(), "voting='hard'"),
        (weighted().fit(X, Y), "the weights .2, 1., but a row is the plain mean .*; fit it with weights=None"),
        (BaggingClassifier(LinearSVC(), 2).fit(X, Y), "member 0 of the ensemble, LinearSVC, has no predict_proba"),
        (lambda inputs: inputs, "the model is a function: let it return them"),
    ],
    ids=["alone", "hard", "weighted", "decisions", "function"],
)
def test_models_without_members_are_refused_when_they_are_loaded(model, message):
    with pytest.raises(ValueError, match=message):
        run(model)


def test_members_have_no_decision_function():
    options = {"members": True, "scores": "decision_function"}
    model = BaggingClassifier(LogisticRegression(max_iter=500), 2).fit(X, Y)
    with pytest.raises(ValueError, match="members of an ensemble are distributions, not a decision_function"):
        FirstOrderDataGenerator(model, backend="sklearn", options=options)
