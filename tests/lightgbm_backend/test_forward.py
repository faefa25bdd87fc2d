"""What boosters say, by objective: class probabilities, logits, or something else, which is refused by name."""

import lightgbm
import numpy as np
import pytest

from tests.frameworks.lightgbm import SETTINGS, trained
from tests.lightgbm_backend.runs import BOOSTER, FRAME, LABELS, run

RAW = {"options": {"scores": "raw"}}


def sigmoid(scores):
    second = 1 / (1 + np.exp(-scores))
    return np.stack([1 - second, second], axis=1)


def agrees(rows, expected):
    np.testing.assert_allclose(rows.probabilities, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_probabilities_are_taken_as_they_are_for_any_batch_size(batch_size):
    rows = run(BOOSTER, batch_size=batch_size)
    assert rows.meta["backend"] == "lightgbm"
    assert rows.meta["output_mode"] == "probs"
    np.testing.assert_array_equal(rows.probabilities, BOOSTER.predict(FRAME).astype(np.float32))


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_two_classes_have_two_columns(factor):
    booster = trained(FRAME, LABELS == 0, "binary", sigmoid=factor)
    second = booster.predict(FRAME)
    agrees(run(booster), np.stack([1 - second, second], axis=1))
    agrees(run(booster, **RAW), np.stack([1 - second, second], axis=1))


@pytest.mark.parametrize("kind", ["rf", "dart"])
def test_other_kinds_of_boosters(kind):
    booster = trained(FRAME, LABELS, boosting=kind, bagging_freq=1, bagging_fraction=0.5)
    agrees(run(booster), booster.predict(FRAME))
    agrees(run(booster, **RAW), booster.predict(FRAME))


@pytest.mark.parametrize("best", [-1, 3])
def test_raw_scores_of_a_random_forest_are_the_mean_of_its_trees(best):
    """LightGBM's own raw scores are their sum."""
    forest = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5, "sigmoid": 2.0}
    booster = trained(FRAME, LABELS == 0, "binary", rounds=8, **forest)
    booster.best_iteration = best
    second = booster.predict(FRAME)
    rows = run(booster, **RAW)
    agrees(rows, np.stack([1 - second, second], axis=1))


def test_raw_scores_are_logits_on_the_users_word():
    rows = run(BOOSTER, **RAW)
    assert rows.meta["options"] == {"scores": "raw"}
    assert rows.meta["output_mode"] == "logits"
    agrees(rows, BOOSTER.predict(FRAME))


def test_an_objective_of_ones_own_says_nothing(tmp_path):
    def objective(scores, data):
        shares = 1 / (1 + np.exp(-scores))
        return shares - data.get_label(), shares * (1 - shares)

    own = lightgbm.train({**SETTINGS, "objective": objective}, lightgbm.Dataset(FRAME, (LABELS == 0) * 1.0), 5)
    own.save_model(tmp_path / "own.txt")
    for model in (own, tmp_path / "own.txt"):
        with pytest.raises(ValueError, match=r"objective is your own.*'scores': 'raw'"):
            run(model)
        agrees(run(model, **RAW), sigmoid(own.predict(FRAME)))


@pytest.mark.parametrize("objective", ["regression", "cross_entropy", "cross_entropy_lambda", "poisson"])
def test_what_is_no_distribution_is_refused_by_name(objective):
    booster = trained(FRAME, LABELS / 3, objective)
    with pytest.raises(ValueError, match=rf"objective is '{objective}'.*'scores': 'raw'.*output_transform"):
        run(booster)
    rows = run(booster, output_transform=lambda outputs: np.stack([outputs * 0 + 0.25, outputs * 0 + 0.75], axis=1))
    agrees(rows, np.tile([0.25, 0.75], (len(FRAME), 1)))


def test_each_class_against_the_others_is_refused_and_made_shares_of():
    booster = trained(FRAME, LABELS, "multiclassova")
    with pytest.raises(ValueError, match=r"objective is 'multiclassova'.*without the sum 1"):
        run(booster)
    scores = booster.predict(FRAME)
    shares = run(booster, output_transform=lambda outputs: outputs / outputs.sum(axis=1, keepdims=True))
    agrees(shares, scores / scores.sum(axis=1, keepdims=True))


def test_rounds_after_the_best_one_do_not_predict_as_the_library_has_it(tmp_path):
    data = lightgbm.Dataset(FRAME, LABELS)
    other = lightgbm.Dataset(FRAME, np.random.default_rng(3).permutation(LABELS), reference=data)
    booster = lightgbm.train(
        {**SETTINGS, "objective": "multiclass", "num_class": 3},
        data,
        20,
        valid_sets=[other],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
    )
    assert 0 < booster.best_iteration < 20
    agrees(run(booster), booster.predict(FRAME, num_iteration=booster.best_iteration))
    booster.save_model(tmp_path / "model.txt")
    assert run(tmp_path / "model.txt") == run(booster)
