"""What the scores of a model mean, how its columns are called, and how often it is called."""

import warnings

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from probly.data_generator import FirstOrderDataGenerator, create_data_generator
from probly.data_generator.temperature import Temperature
from probly.data_generator.testing import reference
from tests.frameworks.sklearn import Identity
from tests.sklearn_backend.runs import CLASSIFIERS, DECISIONS, SPECIES, X, Y, run


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


class Deciding(Identity):
    """A classifier whose inputs are the values of its decision function."""

    classes_ = ("a", "b", "c")

    def decision_function(self, inputs):
        return inputs


@pytest.mark.parametrize("output_mode", ["auto", "logits"])
def test_decision_functions_are_never_probabilities(output_mode):
    """Also those that look like them, as the scores of a small batch may."""
    scores = np.full((4, 3), [0.5, 0.3, 0.2])
    distributions = run(Deciding(), scores, options=DECISIONS["options"], output_mode=output_mode)
    np.testing.assert_allclose(distributions.probabilities, reference.softmax(scores), rtol=0, atol=1e-7)
    assert distributions.meta["output_mode"] == "logits"
    with pytest.raises(ValueError, match=r'returns logits, not probabilities; set output_mode="logits"'):
        run(Deciding(), scores, options=DECISIONS["options"], output_mode="probs")
    halved = run(Deciding(), scores, options=DECISIONS["options"], output_transform=Temperature(0.5))
    np.testing.assert_allclose(halved.probabilities, reference.softmax(2 * scores), rtol=0, atol=1e-7)


def test_scores_of_pairs_of_classes_are_refused():
    digits = np.arange(150) % 4
    model = SVC(decision_function_shape="ovo").fit(X, digits)
    with pytest.raises(
        ValueError, match=r'expected 4 columns, one per class, got 6; set decision_function_shape="ovr"'
    ):
        run(model, **DECISIONS)


def test_probabilities_are_never_logits():
    model = GaussianNB().fit(X, SPECIES)
    with pytest.raises(ValueError, match=r'the model returns probabilities, not logits; set output_mode="probs"'):
        run(model, output_mode="logits")
    with pytest.raises(ValueError, match="a temperature needs logits, but the model returns probabilities"):
        run(model, output_transform=Temperature(2.0))


def test_labels_that_do_not_exclude_each_other_are_refused():
    """Their probabilities sum to anything; softmax over them would mean nothing."""
    labels = np.stack([Y == 0, Y > 0, Y == 2], axis=1).astype(int)
    model = OneVsRestClassifier(GaussianNB()).fit(X, labels)
    with pytest.raises(ValueError, match=r"a row of the first batch is no distribution, .*; set output_transform"):
        run(model, X[::-1])
    with pytest.raises(ValueError, match=r"the row is no distribution, it sums to .*independent scores.*; set output"):
        run(model, X[::-1], output_mode="probs")


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


def test_no_warning_is_lost():
    """The estimator's own warnings reach the user."""

    class Warns(Identity):
        def predict_proba(self, inputs):
            warnings.warn("old", DeprecationWarning, stacklevel=2)
            return inputs

    with pytest.warns(DeprecationWarning, match="old"):
        run(Warns(), reference.softmax(X))


# How often


class Counting(Identity):
    """Counts the calls of both methods, and their rows."""

    classes_ = ("a", "b", "c")

    def __init__(self):
        super().__init__()
        self.rows = []

    def predict_proba(self, inputs):
        self.rows.append(len(inputs))
        return inputs

    decision_function = predict_proba


PROBABILITIES = reference.softmax(X[:, :3])
MODES = [
    ("estimator", {"output_mode": "auto"}),
    ("estimator", {"output_mode": "probs"}),
    ("estimator", {"output_transform": lambda outputs: outputs}),
    ("function", {"output_mode": "auto"}),
    ("function", {"output_mode": "probs"}),
    ("function", {"output_transform": lambda outputs: outputs}),
    ("decisions", {"output_mode": "auto"}),
    ("decisions", {"output_mode": "logits"}),
    ("decisions", {"output_transform": Temperature(1.0)}),
]


@pytest.mark.parametrize(("kind", "options"), MODES)
def test_a_model_is_called_once_per_batch(kind, options, tmp_path):
    model = Counting()
    source = model.predict_proba if kind == "function" else model
    scores = 10 * np.log(PROBABILITIES) if kind == "decisions" else PROBABILITIES
    if kind == "decisions":
        options = {**options, "options": {"scores": "decision_function"}}
    made = FirstOrderDataGenerator(source, backend="sklearn", batch_size=64, **options)
    assert model.rows == [], "nothing is called before the data are there"
    distributions = made.generate_distributions(scores, progress=False)
    expected = reference.softmax(scores) if kind == "decisions" else scores
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)
    assert model.rows == [64, 64, 22]
    made.generate_distributions(scores[:10], progress=False)
    assert model.rows[3:] == [10]
    made.generate_distributions(scores, out=tmp_path / "a.fod", progress=False)
    assert model.rows[4:] == [64, 64, 22]
