"""What boosters say, by objective: class probabilities, logits, or something else, which is refused by name."""

import numpy as np
import pytest
import xgboost

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError
from tests.frameworks.xgboost import SETTINGS, trained
from tests.xgboost_backend.runs import BOOSTER, FRAME, IN_ULM, INPUTS, LABELS, TOWNS, binary, run

DATA = xgboost.DMatrix(FRAME)


def sigmoid(margins):
    second = 1 / (1 + np.exp(-margins.astype(np.float64)))
    return np.stack([1 - second, second], axis=1)


def agrees(rows, expected):
    np.testing.assert_allclose(rows.probabilities, expected, rtol=0, atol=1e-6)


def test_probabilities_are_taken_as_they_are():
    rows = run(BOOSTER)
    assert rows.meta["backend"] == "xgboost"
    assert rows.meta["output_mode"] == "probs"
    np.testing.assert_array_equal(rows.probabilities, BOOSTER.predict(DATA))
    agrees(run(binary()), sigmoid(binary().predict(DATA, output_margin=True)))


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_rows_are_the_same_for_any_batch_size(batch_size):
    np.testing.assert_array_equal(run(BOOSTER, batch_size=batch_size).probabilities, BOOSTER.predict(DATA))


def test_margins_are_logits():
    classes = trained(FRAME, LABELS, "multi:softmax")
    assert set(classes.predict(DATA)) <= {0, 1, 2}
    rows = run(classes)
    assert rows.meta["output_mode"] == "logits"
    agrees(rows, BOOSTER.predict(DATA))
    margins = binary("binary:logitraw")
    agrees(run(margins), sigmoid(margins.predict(DATA)))


def test_raw_margins_are_logits_on_the_users_word():
    raw = {"options": {"scores": "raw"}}
    agrees(run(BOOSTER, **raw), BOOSTER.predict(DATA))
    agrees(run(binary(), **raw), sigmoid(binary().predict(DATA, output_margin=True)))
    assert run(BOOSTER, **raw).meta["options"] == {"scores": "raw"}

    def objective(margins, data):
        shares = 1 / (1 + np.exp(-margins))
        return shares - data.get_label(), shares * (1 - shares)

    own = xgboost.train(SETTINGS, xgboost.DMatrix(FRAME, LABELS == 0), 5, obj=objective)
    with pytest.raises(ValueError, match=r"objective is 'reg:squarederror'.*'scores': 'raw'"):
        run(own)
    agrees(run(own, **raw), sigmoid(own.predict(DATA)))


def test_raw_margins_are_kept_as_logits():
    generator = FirstOrderDataGenerator(BOOSTER, options={"scores": "raw"})
    rows = generator.generate_distributions(FRAME, progress=False, keep=["logits"])
    np.testing.assert_array_equal(rows.columns["logits"], BOOSTER.predict(DATA, output_margin=True))
    with pytest.raises(InvalidOutputError, match="logits"):
        FirstOrderDataGenerator(BOOSTER).generate_distributions(FRAME, progress=False, keep=["logits"])


@pytest.mark.parametrize(
    "objective", ["reg:squarederror", "reg:logistic", "binary:hinge", "count:poisson", "rank:pairwise"]
)
def test_what_is_no_distribution_is_refused_by_name(objective):
    booster = binary(objective)
    with pytest.raises(ValueError, match=f"objective is '{objective}'.*'scores': 'raw'.*output_transform"):
        run(booster)
    rows = run(booster, output_transform=lambda outputs: np.stack([outputs * 0 + 0.25, outputs * 0 + 0.75], axis=1))
    agrees(rows, np.tile([0.25, 0.75], (len(FRAME), 1)))


def test_several_targets_are_refused_and_one_of_them_is_taken():
    booster = trained(FRAME, np.stack([LABELS == 0, LABELS == 1], axis=1), "binary:logistic")
    for options in ({}, {"options": {"scores": "raw"}}):
        with pytest.raises(ValueError, match=r"2 targets \(binary:logistic\).*1 - outputs\[:, 0\]"):
            run(booster, **options)
    second = booster.predict(DATA)[:, 0]
    agrees(
        run(booster, output_transform=lambda outputs: np.stack([1 - outputs[:, 0], outputs[:, 0]], axis=1)),
        np.stack([1 - second, second], axis=1),
    )


@pytest.mark.parametrize("kind", ["gblinear", "dart"])
def test_other_kinds_of_boosters(kind):
    settings = {"gblinear": {"updater": "coord_descent"}, "dart": {"rate_drop": 0.5}}[kind]
    data = xgboost.DMatrix(np.nan_to_num(INPUTS), LABELS)
    objective = {"objective": "multi:softprob", "num_class": 3}
    booster = xgboost.train({"booster": kind, "nthread": 1, **objective, **settings}, data, 5)
    np.testing.assert_array_equal(run(booster, np.nan_to_num(INPUTS)).probabilities, booster.predict(data))


def test_rounds_after_the_best_one_predict_as_the_library_has_it(tmp_path):
    """``Booster.predict`` takes all of them, an ``XGBClassifier`` none of them, and its file says whose it is."""
    settings = {"n_estimators": 9, "early_stopping_rounds": 3, "n_jobs": 1}
    shuffled = np.random.default_rng(3).permutation(LABELS)
    estimator = xgboost.XGBClassifier(**settings).fit(FRAME, LABELS, eval_set=[(FRAME, shuffled)], verbose=False)
    booster = estimator.get_booster()
    assert booster.best_iteration + 1 < booster.num_boosted_rounds()
    booster.save_model(tmp_path / "booster.ubj")
    estimator.save_model(tmp_path / "estimator.ubj")
    expected = estimator.predict_proba(FRAME)
    assert np.abs(expected - booster.predict(DATA)).max() > 0.01
    for model in (booster, tmp_path / "booster.ubj"):
        with pytest.warns(UserWarning, match=r"all of its \d rounds predict.*'rounds': 'best'.*'rounds': 'all'"):
            np.testing.assert_array_equal(run(model).probabilities, booster.predict(DATA))
        rows = run(model, options={"rounds": "all"})
        np.testing.assert_array_equal(rows.probabilities, booster.predict(DATA))
        assert "options" not in rows.meta
        rows = run(model, options={"rounds": "best"})
        np.testing.assert_array_equal(rows.probabilities, expected)
        assert rows.meta["options"] == {"rounds": "best"}
    np.testing.assert_array_equal(run(tmp_path / "estimator.ubj").probabilities, expected)
    rows = run(tmp_path / "estimator.ubj", options={"rounds": "all"})
    np.testing.assert_array_equal(rows.probabilities, booster.predict(DATA))


def test_the_best_round_of_a_booster_with_categories():
    """A part of such a booster, ``booster[:n]``, has lost their names."""
    data = xgboost.DMatrix(TOWNS, IN_ULM, enable_categorical=True)
    other = xgboost.DMatrix(TOWNS, 1 - IN_ULM, enable_categorical=True)
    settings = {**SETTINGS, "objective": "binary:logistic"}
    booster = xgboost.train(settings, data, 9, evals=[(other, "other")], early_stopping_rounds=3, verbose_eval=False)
    expected = booster.predict(data, iteration_range=(0, booster.best_iteration + 1))
    rows = run(booster, TOWNS, options={"rounds": "best"})
    np.testing.assert_array_equal(rows.probabilities[:, 1], expected)


def test_no_best_round_is_refused():
    with pytest.raises(ValueError, match="option 'rounds': the booster knows no best round"):
        run(BOOSTER, options={"rounds": "best"})
