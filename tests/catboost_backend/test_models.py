"""From any source to a model: live ones of each kind, files, and what is none; class names are the model's."""

from pathlib import Path

import catboost
import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.metrics import report
from tests.catboost_backend.runs import FRAME, INPUTS, LABELS, MODEL, NAMES, run
from tests.frameworks.catboost import fitted

HOOK = load_backend(find_backend("catboost")).hook


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("catboost") / "model.cbm"
    MODEL.save_model(path)
    return path


def digest_of(source):
    return HOOK.weight_digest(model=FirstOrderDataGenerator(source).loaded_model)


def test_files_and_live_models_are_the_same_and_known_as_such(path):
    plain = catboost.CatBoost().load_model(path)
    assert HOOK.recognizes(source=path) is True
    assert not hasattr(plain, "predict_proba")
    for model in (path, plain, MODEL.copy()):
        assert run(model) == run(MODEL)
        assert digest_of(model) == digest_of(MODEL)


@pytest.mark.parametrize("backend", ["numpy", "sklearn"])
def test_classifiers_have_the_rows_and_names_that_they_had_in_other_backends(backend):
    before, now = run(MODEL, (FRAME, NAMES), backend=backend), run(MODEL, (FRAME, NAMES))
    assert now.meta["backend"] == "catboost"
    np.testing.assert_array_equal(now.probabilities, before.probabilities)
    assert now.class_names == before.class_names == ["a", "b", "c"]
    assert now.labels.tolist() == before.labels.tolist()


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS * 10, ["0", "10", "20"]),
        (LABELS == 0, ["False", "True"]),
        ((LABELS == 0) * 1.0, ["0", "1"]),
        (NAMES, ["a", "b", "c"]),
    ],
)
def test_class_names_are_the_models_and_labels_are_compared_with_them(tmp_path, labels, names):
    model = fitted(FRAME, labels)
    model.save_model(tmp_path / "model.cbm")
    for source in (model, tmp_path / "model.cbm"):
        rows = run(source, (FRAME, labels))
        assert rows.class_names == names
        assert report(rows)["metrics"]["accuracy"] == pytest.approx(model.score(FRAME, labels))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: whole[:300], r"bad\.cbm: cannot be read as a model, or not all of one"),
        (lambda whole: b"CBM1" + bytes(99), r"bad\.cbm: cannot be read as a model, or not all of one"),
        (lambda whole: b"tree", r"bad\.cbm: expected a model that was saved as \.cbm"),
        (lambda whole: b"", r"bad\.cbm: expected a model that was saved as \.cbm"),
    ],
)
def test_damaged_files_are_refused(path, tmp_path, content, said):
    (tmp_path / "bad.cbm").write_bytes(content(path.read_bytes()))
    with pytest.raises(ValueError, match=said):
        run(tmp_path / "bad.cbm")
    with pytest.raises(FileNotFoundError, match="there is no such model file"):
        run(tmp_path / "missing.cbm")


def test_models_are_recognized():
    assert HOOK.recognizes(source=MODEL) is catboost.CatBoostClassifier
    assert HOOK.recognizes(source=catboost.CatBoost()) is catboost.CatBoost
    kind = type("Mine", (catboost.CatBoostClassifier,), {"__module__": "mine"})
    assert HOOK.recognizes(source=kind()) is catboost.CatBoostClassifier
    for other in (catboost.Pool(INPUTS), catboost.CatBoost, "model.cbm", None, Path("cbm"), Path("model.json")):
        assert HOOK.recognizes(source=other) is False, other


def test_what_is_no_fitted_model_is_refused():
    with pytest.raises(TypeError, match=r"expected a fitted CatBoostClassifier or CatBoost.*got a function"):
        run(lambda rows: rows, backend="catboost")
    with pytest.raises(ValueError, match="CatBoostClassifier is not fitted; call fit"):
        run(catboost.CatBoostClassifier())
    with pytest.raises(ValueError, match="unknown option 'score'; known: members, scores, virtual_ensembles"):
        run(MODEL, options={"score": "raw"})
    with pytest.raises(ValueError, match=r"device 'gpu' is not available.*available: 'cpu'"):
        run(MODEL, device="gpu")


def test_a_model_that_is_fitted_anew_is_looked_at_again():
    model = fitted(FRAME, NAMES)
    generator = FirstOrderDataGenerator(model)
    for labels in (LABELS == 0, NAMES):
        model.fit(FRAME, labels)
        rows = generator.generate_distributions(FRAME, progress=False)
        assert rows.class_names == [str(name) for name in model.classes_]
        np.testing.assert_array_equal(rows.probabilities, model.predict_proba(FRAME).astype(np.float32))


def test_trees_after_the_best_one_are_none():
    shuffled = np.random.default_rng(3).permutation(NAMES)
    model = catboost.CatBoostClassifier(iterations=30, verbose=False, allow_writing_files=False, thread_count=1)
    model.fit(FRAME, NAMES, eval_set=(FRAME, shuffled), early_stopping_rounds=3)
    assert model.tree_count_ < 30
    np.testing.assert_array_equal(run(model).probabilities, model.predict_proba(FRAME).astype(np.float32))
