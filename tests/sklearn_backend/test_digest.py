"""Telling fitted estimators apart: a store is continued with the same one only."""

import functools
import os
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from probly.data_generator import FirstOrderDataGenerator, StoreError
from probly.data_generator.hookspecs import hookimpl
from probly_data_generator_sklearn.digest import digest_of_fitted
from tests.frameworks.sklearn import Identity

X, Y = load_iris(return_X_y=True)
X, SPECIES = X[::-1], np.array(["setosa", "versicolor", "virginica"])[Y][::-1]
TEXTS = ["rain and wind", "sun", "sun and rain", "no wind", "snow"] * 30


ESTIMATORS = {
    "linear": LogisticRegression(max_iter=500),
    "pipeline": make_pipeline(StandardScaler(), FunctionTransformer(np.tanh), GaussianNB()),
    "forest": RandomForestClassifier(5, random_state=0),
    "bagging": BaggingClassifier(n_estimators=3, random_state=0),
    "gradient boosting": GradientBoostingClassifier(n_estimators=3, random_state=0),
    "boosting with histograms": HistGradientBoostingClassifier(max_iter=3, random_state=0),
    "adaptive boosting": AdaBoostClassifier(n_estimators=3, random_state=0),
    "tree of neighbours": KNeighborsClassifier(algorithm="kd_tree"),
    "ball of neighbours": KNeighborsClassifier(algorithm="ball_tree"),
    "vectors": SVC(random_state=0),
    "process": GaussianProcessClassifier(random_state=0),
    "calibrated": CalibratedClassifierCV(LinearSVC(random_state=0), cv=2),
    "search": GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-3]}, cv=2),
    "texts": make_pipeline(TfidfVectorizer(stop_words=["and", "or", "no"]), MultinomialNB()),
    "network": MLPClassifier(4, solver="lbfgs", alpha=1.0, max_iter=2000),
}
"""One of each kind whose state is told apart in a way of its own; the last one begins with random numbers."""


def inputs_of(name):
    """Return what an estimator takes, 30 rows."""
    return TEXTS[::5] if name == "texts" else X[::5]


def fitted(name, labels=SPECIES[::5]):
    """Return one of them, fitted anew."""
    return clone(ESTIMATORS[name]).fit(inputs_of(name), labels)


def run(path, model, data=(X, SPECIES), **options):
    """Return the distributions of one run that streams to a store."""
    generator = FirstOrderDataGenerator(model, **{"backend": "sklearn", "batch_size": 10, **options})
    return generator.generate_distributions(data, out=path, progress=False, shard_megabytes=30 * 3 * 4 / 2**20)


def test_the_digest_is_the_same_in_another_process():
    code = (
        "from tests.sklearn_backend.test_digest import ESTIMATORS, digest_of_fitted, fitted\n"
        "junk = [bytearray(b'junk') * n for n in range(1000)]\n"  # memory that is not zero
        "for name in ESTIMATORS: print(name, digest_of_fitted(fitted(name)), sep=': ')"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert done.returncode == 0, done.stderr
    theirs = dict(line.split(": ") for line in done.stdout.splitlines())
    assert len(theirs) == len(ESTIMATORS)
    for name, digest in theirs.items():
        assert digest.startswith("sha256:")
        assert (digest == digest_of_fitted(fitted(name))) == (name != "network"), name


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_digest_stays_through_predicting_and_files(name):
    import skops.io  # which imports torch: not wanted in the other process

    model = fitted(name)
    before = digest_of_fitted(model)
    getattr(model, "predict_proba", model.predict)(inputs_of(name))
    model.score(inputs_of(name), SPECIES[::5])
    assert digest_of_fitted(model) == before
    assert digest_of_fitted(pickle.loads(pickle.dumps(model))) == before
    saved = skops.io.dumps(model)
    assert digest_of_fitted(skops.io.loads(saved, trusted=skops.io.get_untrusted_types(data=saved))) == before


@pytest.mark.parametrize("name", ESTIMATORS)
def test_other_training_data_give_another_digest(name):
    """A little other: one sample has another label."""
    labels = SPECIES[::5].copy()
    labels[15] = "setosa"
    assert digest_of_fitted(fitted(name, labels)) != digest_of_fitted(fitted(name))


def test_parameters_count_that_predictions_depend_on():
    model = KNeighborsClassifier().fit(X, SPECIES)
    before = digest_of_fitted(model)
    assert digest_of_fitted(model.set_params(n_jobs=2)) == before
    assert digest_of_fitted(model.set_params(n_neighbors=3)) != before
    pipeline = make_pipeline(StandardScaler(), GaussianNB(), verbose=True).fit(X, SPECIES)
    before = digest_of_fitted(pipeline)
    assert digest_of_fitted(pipeline.set_params(verbose=False, memory="cache")) == before
    pipeline["standardscaler"].mean_[0] += 1e-9
    assert digest_of_fitted(pipeline) != before


def doubled(batch):
    return 2 * batch


def test_functions_count_by_code_and_closure():
    def scaled(factor):
        return lambda batch: factor * batch

    functions = [
        doubled,
        lambda batch: batch,
        scaled(2),
        scaled(3),
        np.log1p,
        np.tanh,
        functools.partial(np.clip, 0, 1),
    ]
    functions += [functools.partial(np.clip, 0, 2), Identity().predict_proba, Identity(2).predict_proba]
    digests = [digest_of_fitted(FunctionTransformer(function)) for function in functions]
    assert "" not in digests
    assert len(set(digests)) == len(functions)
    assert digest_of_fitted(FunctionTransformer(scaled(2))) == digests[2]


def test_attributes_of_any_kind():
    model = Identity()
    model.many = {"b": {0, 8}, "a": [b"x", None, 1.5, 2j, np.float32(3)], 4: np.array(["text", None], object)}
    model.itself = model
    first = digest_of_fitted(model)
    other = Identity()
    other.itself = other
    other.many = {4: np.array(["text", None], object), "a": [b"x", None, 1.5, 2j, np.float32(3)], "b": {8, 0}}
    assert list({0, 8}) != list({8, 0}), "sets of one content in two orders"
    assert first == digest_of_fitted(other) != ""
    other.many[4][0] = "texts"
    assert digest_of_fitted(other) != first
    shared, copied, row = Identity(), Identity(), np.arange(3.0)
    shared.rows, copied.rows = [row, row], [row, np.asfortranarray(row.copy())]
    assert digest_of_fitted(shared) == digest_of_fitted(copied)


def test_the_bytes_between_fields_do_not_count():
    model, other = Identity(), Identity()
    kind = np.dtype([("flag", np.uint8), ("value", np.float64)], align=True)
    model.nodes, other.nodes = (np.frombuffer(bytes([byte]) * 32, np.uint8).copy().view(kind) for byte in (0, 255))
    for nodes in (model.nodes, other.nodes):
        nodes["flag"], nodes["value"] = 1, [0.5, 1.5]
    assert model.nodes.tobytes() != other.nodes.tobytes()
    assert digest_of_fitted(model) == digest_of_fitted(other)
    other.nodes["value"][1] = 2.5
    assert digest_of_fitted(model) != digest_of_fitted(other)


def test_the_order_of_rows_and_names_counts():
    def of(**attributes):
        model = Identity()
        vars(model).update(attributes)
        return digest_of_fitted(model)

    assert of(a=[1, 2]) != of(a=[2, 1])
    assert of(a=[1, 2]) != of(a=[12])
    assert of(a=["1", "2"]) != of(a=["12"])
    assert of(a=np.zeros((2, 3))) != of(a=np.zeros((3, 2)))
    assert of(a=np.zeros(2)) != of(a=np.zeros(2, np.float32)) != of(a=[0.0, 0.0])
    assert of(a=1, b=2) != of(a=2, b=1)
    assert of(a=[[1], 2]) != of(a=[[1, 2]])
    assert of(a=pd.Series([1.0, 2.0], index=["x", "y"])) != of(a=pd.Series([1.0, 2.0], index=["y", "x"]))
    assert of(a=pd.DataFrame({"x": [1, 2]})) != of(a=pd.DataFrame({"x": [1.0, 2.0]}))
    assert of(a=pd.DataFrame({"x": [1, 2]})) == of(a=pd.DataFrame({"x": [1, 2]}))
    assert of(a=np.ma.array([1.0, 2.0], mask=[0, 1])) != of(a=np.ma.array([1.0, 2.0], mask=[1, 0]))


def test_what_cannot_be_seen_is_said():
    model = Identity()
    model.lock = threading.Lock()
    assert digest_of_fitted(model).endswith(", not seen: _thread.lock")
    assert digest_of_fitted(np.tanh.reduce) == "not seen"
    assert digest_of_fitted(lambda batch: batch) != digest_of_fitted(lambda batch: -batch)
    model = fitted("linear")
    assert digest_of_fitted(model.predict_proba) == digest_of_fitted(model) != ""


# Stores


class InterruptedRunError(Exception):
    pass


class InterruptsAfter:
    """Ends a run from outside, and counts the rows that the model computes."""

    def __init__(self, batches=None):
        self.left, self.rows = batches, 0

    @hookimpl(wrapper=True)
    def forward(self, inputs):
        if self.left == 0:
            raise InterruptedRunError
        self.left = None if self.left is None else self.left - 1
        self.rows += inputs.shape[0]
        return (yield)


def test_a_store_goes_on_where_it_ended(tmp_path):
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)).fit(X, SPECIES)
    with pytest.raises(InterruptedRunError):
        run(tmp_path / "a.fod", model, wrappers=[InterruptsAfter(9)])
    counting = InterruptsAfter()
    # Fitted anew, as in another process.
    distributions = run(tmp_path / "a.fod", clone(model).fit(X, SPECIES), wrappers=[counting])
    assert 0 < counting.rows < 150
    np.testing.assert_allclose(distributions.probabilities, model.predict_proba(X), rtol=0, atol=1e-7)
    assert distributions.class_names == ["setosa", "versicolor", "virginica"]
    assert distributions.labels.tolist() == SPECIES.tolist()
    assert distributions == run(tmp_path / "b.fod", model)


def test_a_finished_store_is_returned_also_after_predicting(tmp_path):
    model = KNeighborsClassifier(algorithm="kd_tree").fit(X, SPECIES)
    first, counting = run(tmp_path / "a.fod", model), InterruptsAfter()
    assert run(tmp_path / "a.fod", model, wrappers=[counting]) == first
    assert counting.rows == 10  # the probe


def test_sparse_inputs_stream(tmp_path):
    import scipy.sparse

    counts = scipy.sparse.csr_array(np.round(X))
    model = MultinomialNB().fit(counts, SPECIES)
    distributions = run(tmp_path / "a.fod", model, (counts, SPECIES))
    np.testing.assert_allclose(distributions.probabilities, model.predict_proba(counts), rtol=0, atol=1e-7)


def test_data_frames_stream_and_others_are_refused(tmp_path):
    import pandas as pd

    table = pd.DataFrame({"width": X[:, 0], "land": np.array(["Peru", "Chile", None])[Y], "length": X[:, 2]})
    parts = [("scale", StandardScaler(), ["width", "length"]), ("encode", OneHotEncoder(), ["land"])]
    model = make_pipeline(ColumnTransformer(parts), LogisticRegression()).fit(table, SPECIES)
    first, counting = run(tmp_path / "a.fod", model, (table, SPECIES)), InterruptsAfter()
    np.testing.assert_allclose(first.probabilities, model.predict_proba(table), rtol=0, atol=1e-7)
    assert run(tmp_path / "a.fod", model, (table.copy(), SPECIES), wrappers=[counting]) == first
    assert counting.rows == 10  # the probe
    lands = table["land"].tolist()
    lands[149] = "Brazil"
    for other in (table.assign(width=table["width"] + 1e-9), table.assign(land=lands), table[table.columns[::-1]]):
        with pytest.raises(StoreError, match="dataset"):
            run(tmp_path / "a.fod", model, (other, SPECIES))


def test_other_sparse_inputs_are_refused(tmp_path):
    import scipy.sparse

    counts = scipy.sparse.csr_array(np.round(X))
    model = MultinomialNB().fit(counts, SPECIES)
    first = run(tmp_path / "a.fod", model, (counts, SPECIES))
    assert run(tmp_path / "a.fod", model, (counts.tocoo(), SPECIES)) == first
    counts.data[0] += 1
    with pytest.raises(StoreError, match="dataset"):
        run(tmp_path / "a.fod", model, (counts, SPECIES))


def test_other_weights_are_refused(tmp_path):
    model = LogisticRegression(max_iter=500).fit(X, SPECIES)
    run(tmp_path / "a.fod", model)
    other = LogisticRegression(max_iter=500).fit(X[1:], SPECIES[1:])
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(tmp_path / "a.fod", other)


def test_a_live_model_is_looked_at_again_before_every_run(tmp_path):
    model = GaussianNB().fit(X, SPECIES)
    generator = FirstOrderDataGenerator(model, backend="sklearn")
    generator.generate_distributions(X, out=tmp_path / "a.fod", progress=False)
    model.fit(X[1:], SPECIES[1:])
    with pytest.raises(StoreError, match="model digest"):
        generator.generate_distributions(X, out=tmp_path / "a.fod", progress=False)


def test_other_scores_are_refused(tmp_path):
    model = LogisticRegression(max_iter=500).fit(X, SPECIES)
    run(tmp_path / "a.fod", model, output_mode="probs")
    with pytest.raises(StoreError, match=r"options.*scores"):
        run(tmp_path / "a.fod", model, output_mode="logits", options={"scores": "decision_function"})


def test_the_same_model_from_a_file_goes_on(tmp_path):
    import skops.io

    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, SPECIES)
    skops.io.dump(model, tmp_path / "model.skops")
    first = run(tmp_path / "a.fod", tmp_path / "model.skops")
    counting = InterruptsAfter()
    assert run(tmp_path / "a.fod", tmp_path / "model.skops", wrappers=[counting]) == first
    assert counting.rows == 10  # the probe
    skops.io.dump(clone(model).fit(X[1:], SPECIES[1:]), tmp_path / "model.skops")
    with pytest.raises(StoreError, match="model digest"):
        run(tmp_path / "a.fod", tmp_path / "model.skops")


def test_partial_fits_are_told_apart():
    model = SGDClassifier(loss="log_loss", random_state=0)
    digests = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            model.partial_fit(X, SPECIES, classes=np.unique(SPECIES))
            digests.append(digest_of_fitted(model))
    assert len(set(digests)) == 3
