"""From any source to a booster: live ones, files told by their first bytes, estimators, and what is none."""

import json
from pathlib import Path

import numpy as np
import pytest
import xgboost

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from tests.xgboost_backend.runs import BOOSTER, FRAME, INPUTS, LABELS, run

RECOGNIZES = load_backend(find_backend("xgboost")).hook.recognizes
STORED = bytes(BOOSTER.save_raw("json"))


@pytest.fixture(scope="module")
def estimator():
    return xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(FRAME, LABELS)


@pytest.mark.parametrize("name", ["model.json", "model.ubj", "MODEL.UBJ", "MODEL.JSON"])
def test_files_are_recognized_and_are_the_live_booster(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BOOSTER.save_raw(path.suffix.lower()[1:]))
    assert RECOGNIZES(source=path) is True
    first, second = run(path), run(BOOSTER)
    assert first == second
    digests = [load_backend(find_backend("xgboost")).hook.weight_digest for _ in range(2)]
    models = [FirstOrderDataGenerator(one).loaded_model for one in (path, BOOSTER)]
    assert digests[0](model=models[0]) == digests[1](model=models[1])


def test_a_file_that_was_written_anew_is_recognized(tmp_path):
    path = tmp_path / "model.json"
    stored = json.loads(STORED)
    for content in (
        json.dumps(stored, indent=2),
        json.dumps({"version": stored["version"], "learner": stored["learner"]}),
    ):
        path.write_text(content)
        assert run(path) == run(BOOSTER)


def test_other_files_of_this_suffix_are_not_claimed(tmp_path):
    path = tmp_path / "file.json"
    FirstOrderDataGenerator(BOOSTER).save_distributions(path, run(BOOSTER))
    others = [
        path.read_bytes(),
        b"",
        b"[]",
        b'{"learner": 1}',
        b'{"features_info": {}}',
        b'{"a": {"learner":{',
        b"\xff" * 9,
    ]
    for content in others:
        path.write_bytes(content)
        assert RECOGNIZES(source=path) is False, content
    with pytest.raises(ValueError, match=r"expected a booster that was saved as \.json or \.ubj"):
        run(path, backend="xgboost")
    (tmp_path / "other.ubj").write_bytes(b"{" + bytes(100))
    (tmp_path / "folder.json").mkdir()
    for other in ("other.ubj", "folder.json", "missing.json", "model.txt"):
        assert RECOGNIZES(source=tmp_path / other) is False, other


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.json", STORED[:-200]),
        ("cut.ubj", bytes(BOOSTER.save_raw("ubj"))[:-200]),
        ("other.json", b'{"learner": {"attributes": {}}, "version": [3, 2, 0]}'),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: cannot be read as a booster, or not all of one"):
        run(tmp_path / name)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.ubj: there is no such model file"):
        run(tmp_path / "missing.ubj", backend="xgboost")


def test_boosters_are_recognized_and_estimators_are_not(estimator):
    assert RECOGNIZES(source=BOOSTER) is xgboost.Booster
    kind = type("Mine", (xgboost.Booster,), {"__module__": "mine"})
    assert RECOGNIZES(source=kind()) is xgboost.Booster
    others = [estimator, xgboost.DMatrix(INPUTS), xgboost.Booster, xgboost.train, "model.ubj", None, Path("ubj")]
    for other in others:
        assert RECOGNIZES(source=other) is False, other


def test_estimators_go_through_scikit_learn_as_before(estimator, tmp_path):
    rows = run(estimator)
    assert rows.meta["backend"] == "sklearn"
    assert rows.class_names == ["0", "1", "2"]
    np.testing.assert_array_equal(rows.probabilities, estimator.predict_proba(FRAME))
    np.testing.assert_array_equal(run(estimator, FRAME[FRAME.columns[::-1]]).probabilities, rows.probabilities)
    with pytest.raises(TypeError, match=r"XGBClassifier is an estimator.*leave backend out.*save_model\('model.ubj'\)"):
        run(estimator, backend="xgboost")
    estimator.save_model(tmp_path / "model.ubj")
    np.testing.assert_array_equal(run(tmp_path / "model.ubj").probabilities, rows.probabilities)


def test_what_is_no_booster_is_refused():
    with pytest.raises(TypeError, match=r"expected an xgboost.Booster.*got a function"):
        run(lambda rows: rows, backend="xgboost")
    with pytest.raises(ValueError, match="the Booster was not trained"):
        run(xgboost.Booster())
    with pytest.raises(ValueError, match=r"unknown option 'score'; known: rounds, scores"):
        run(BOOSTER, options={"score": "raw"})
    with pytest.raises(ValueError, match="device 'cuda' is not where the booster is; available: 'cpu'"):
        run(BOOSTER, device="cuda")


def test_a_booster_that_is_trained_on_is_looked_at_again():
    data = xgboost.DMatrix(FRAME, LABELS)
    booster = BOOSTER.copy()
    generator = FirstOrderDataGenerator(booster)
    booster.update(data, booster.num_boosted_rounds())
    for _ in range(2):
        rows = generator.generate_distributions(FRAME, progress=False)
        np.testing.assert_array_equal(rows.probabilities, booster.predict(data))
        booster.feature_names = ["a", "b", "c", "d"]
        with pytest.raises(ValueError, match="missing: 'a'"):
            generator.generate_distributions(FRAME, progress=False)
        booster.feature_names = list(FRAME.columns)


def test_an_objective_that_was_changed_before_the_first_run_is_looked_at_again():
    booster = BOOSTER.copy()
    generator = FirstOrderDataGenerator(booster)
    booster.set_param({"objective": "multi:softmax"})
    rows = generator.generate_distributions(FRAME, progress=False)
    np.testing.assert_allclose(rows.probabilities, run(BOOSTER).probabilities, rtol=0, atol=1e-6)
