"""From any source to a booster: live ones, files told by their first bytes, estimators, and what is none."""

from pathlib import Path

import lightgbm
import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from tests.frameworks.lightgbm import SETTINGS, trained
from tests.lightgbm_backend.runs import BOOSTER, FRAME, INPUTS, LABELS, run

HOOK = load_backend(find_backend("lightgbm")).hook
STORED = BOOSTER.model_to_string().encode()


@pytest.fixture(scope="module")
def estimator():
    names = np.array(["a", "b", "c"])[LABELS]
    return lightgbm.LGBMClassifier(n_estimators=3, **SETTINGS).fit(FRAME, names)


@pytest.mark.parametrize("name", ["model.txt", "MODEL.TXT"])
def test_files_are_recognized_and_are_the_live_booster(tmp_path, name):
    path = tmp_path / name
    BOOSTER.save_model(path)
    assert HOOK.recognizes(source=path) is True
    assert run(path) == run(BOOSTER)
    digests = {HOOK.weight_digest(model=FirstOrderDataGenerator(one).loaded_model) for one in (path, BOOSTER)}
    assert len(digests) == 1


def test_other_files_of_this_suffix_are_not_claimed(tmp_path):
    path = tmp_path / "file.txt"
    for content in (b"", b"tree", b"tree\nversion", b"a tree\nversion=v4\n", b"\xff" * 99, b"trees grow\n"):
        path.write_bytes(content)
        assert HOOK.recognizes(source=path) is False, content
        with pytest.raises(ValueError, match=r"expected a booster that was saved as \.txt"):
            run(path, backend="lightgbm")
    (tmp_path / "folder.txt").mkdir()
    for other in ("folder.txt", "missing.txt", "model.json"):
        assert HOOK.recognizes(source=tmp_path / other) is False, other
    with pytest.raises(FileNotFoundError, match=r"missing\.txt: there is no such model file"):
        run(tmp_path / "missing.txt", backend="lightgbm")


DAMAGES = {
    "cut in a tree": STORED[: STORED.index(b"Tree=3") + 200],
    "cut in the header": STORED[: STORED.index(b"feature_infos")],
    "cut after the trees": STORED[: STORED.index(b"end of trees") + 5],
    "other line ends": STORED.replace(b"\n", b"\r\n"),
    "a tree is gone": STORED[: STORED.index(b"Tree=3")] + STORED[STORED.index(b"Tree=4") :],
    "a tree lacks its thresholds": STORED.replace(b"threshold=", b"thresholx=", 1),
    "a tree has too few leaves": STORED.replace(b"leaf_value=", b"leaf_value=,", 1),
    "a tree lacks its leaves": STORED.replace(b"leaf_value=", b"leaf_valux=", 1),
    "no number of classes": STORED.replace(b"num_class=", b"num_xlass=", 1),
    "not UTF-8": STORED.replace(b"feature_names=age", b"feature_names=\xff\xfee", 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused(tmp_path, damage):
    """LightGBM itself would end the process for some of them, with no way to catch it."""
    path = tmp_path / "cut.txt"
    path.write_bytes(DAMAGES[damage])
    with pytest.raises(ValueError, match=r"cut\.txt: cannot be read as a booster, or not all of one"):
        run(path)


def test_boosters_are_recognized_and_estimators_are_not(estimator):
    assert HOOK.recognizes(source=BOOSTER) is lightgbm.Booster
    others = [estimator, lightgbm.Dataset(INPUTS), lightgbm.Booster, lightgbm.train, "model.txt", None, Path("txt")]
    for other in others:
        assert HOOK.recognizes(source=other) is False, other


def test_estimators_go_through_scikit_learn_and_their_columns_are_put_in_order(estimator):
    """LightGBM's own ``predict_proba`` reads the columns of a table by place, whatever they are called."""
    rows = run(estimator)
    assert rows.meta["backend"] == "sklearn"
    assert rows.class_names == ["a", "b", "c"]
    expected = estimator.predict_proba(FRAME)
    np.testing.assert_allclose(rows.probabilities, expected, rtol=0, atol=1e-7)
    backwards = FRAME[FRAME.columns[::-1]]
    assert np.abs(estimator.predict_proba(backwards) - expected).max() > 0.05
    np.testing.assert_array_equal(run(estimator, backwards).probabilities, rows.probabilities)
    with pytest.raises(TypeError, match=r"LGBMClassifier is an estimator.*leave backend out.*booster_"):
        run(estimator, backend="lightgbm")
    np.testing.assert_array_equal(run(estimator.booster_).probabilities, rows.probabilities)


def test_what_is_no_booster_is_refused():
    with pytest.raises(TypeError, match=r"expected a lightgbm\.Booster.*got a function"):
        run(lambda rows: rows, backend="lightgbm")
    with pytest.raises(ValueError, match="the Booster has no trees"):
        run(lightgbm.Booster(SETTINGS, lightgbm.Dataset(INPUTS, LABELS)))
    with pytest.raises(ValueError, match="unknown option 'score'; known: scores"):
        run(BOOSTER, options={"score": "raw"})
    with pytest.raises(ValueError, match=r"device 'gpu' is not available.*available: 'cpu'"):
        run(BOOSTER, device="gpu")


def test_a_booster_that_is_trained_on_is_looked_at_again():
    data = lightgbm.Dataset(FRAME, LABELS, free_raw_data=False)
    booster = lightgbm.Booster({**SETTINGS, "objective": "multiclass", "num_class": 3}, data)
    booster.update()
    generator = FirstOrderDataGenerator(booster)
    for _ in range(2):
        booster.update()
        rows = generator.generate_distributions(FRAME, progress=False)
        np.testing.assert_array_equal(rows.probabilities, booster.predict(FRAME).astype(np.float32))


def test_made_up_names_are_none():
    unnamed = trained(INPUTS, LABELS)
    assert FirstOrderDataGenerator(unnamed).loaded_model.feature_names is None
    np.testing.assert_array_equal(run(unnamed, FRAME).probabilities, run(unnamed, INPUTS).probabilities)
