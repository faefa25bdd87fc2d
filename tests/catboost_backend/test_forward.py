"""What models say, by objective: class probabilities, logits, virtual ensembles, or what is refused by name."""

import catboost
import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator
from tests.catboost_backend.runs import FRAME, LABELS, MODEL, NAMES, run
from tests.frameworks.catboost import fitted

RAW = {"options": {"scores": "raw"}}


def sigmoid(values):
    second = 1 / (1 + np.exp(-values))
    return np.stack([1 - second, second], axis=-1)


def softmax(values):
    scores = np.exp(values)
    return scores / scores.sum(axis=-1, keepdims=True)


def agrees(rows, expected):
    np.testing.assert_allclose(rows.probabilities, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_probabilities_are_taken_as_they_are_for_any_batch_size(batch_size):
    rows = run(MODEL, batch_size=batch_size)
    assert rows.meta["backend"] == "catboost"
    assert rows.meta["output_mode"] == "probs"
    np.testing.assert_array_equal(rows.probabilities, MODEL.predict_proba(FRAME).astype(np.float32))


@pytest.mark.parametrize("objective", ["Logloss", "CrossEntropy", "Focal:focal_alpha=0.5;focal_gamma=2"])
def test_two_classes_have_two_columns(objective):
    model = fitted(FRAME, LABELS == 0 if objective == "Logloss" else (LABELS == 0) * 1, loss_function=objective)
    agrees(run(model), model.predict_proba(FRAME))
    agrees(run(model, **RAW), model.predict_proba(FRAME))


def test_raw_values_are_logits_on_the_users_word():
    generator = FirstOrderDataGenerator(MODEL, **RAW)
    rows = generator.generate_distributions(FRAME, progress=False, keep=["logits"])
    agrees(rows, MODEL.predict_proba(FRAME))
    values = MODEL.predict(FRAME, prediction_type="RawFormulaVal")
    np.testing.assert_array_equal(rows.columns["logits"], values.astype(np.float32))


@pytest.mark.parametrize("objective", ["RMSE", "Poisson", "MAE"])
def test_models_without_classes_are_refused_by_name(objective):
    """CatBoost itself would call the sigmoid of a number that they predict a probability."""
    model = fitted(FRAME, LABELS, catboost.CatBoostRegressor, loss_function=objective)
    for options in ({}, {"options": {"members": True}}):
        with pytest.raises(ValueError, match=rf"objective is '{objective}', and it has no classes.*'scores': 'raw'"):
            run(model, **options)
    values = model.predict(FRAME, prediction_type="RawFormulaVal")
    agrees(run(model, output_transform=sigmoid), sigmoid(values))
    agrees(run(model, **RAW), sigmoid(values))


def test_each_class_against_the_others_is_refused_and_made_shares_of():
    model = fitted(FRAME, LABELS, loss_function="MultiClassOneVsAll")
    with pytest.raises(ValueError, match=r"objective is 'MultiClassOneVsAll'.*without the sum 1"):
        run(model)
    scores = model.predict_proba(FRAME)
    shares = run(model, output_transform=lambda outputs: outputs / outputs.sum(axis=1, keepdims=True))
    agrees(shares, scores / scores.sum(axis=1, keepdims=True))


def test_several_labels_are_refused_and_one_of_them_is_taken():
    model = fitted(FRAME, np.stack([LABELS == 0, LABELS == 1], axis=1) * 1, loss_function="MultiLogloss")
    for options in ({}, RAW, {"options": {"members": True}}):
        with pytest.raises(ValueError, match=r"'MultiLogloss', with several labels.*1 - outputs\[:, 0\]"):
            run(model, **options)
    first = model.predict_proba(FRAME)[:, 0]
    rows = run(model, output_transform=lambda outputs: np.stack([1 - outputs[:, 0], outputs[:, 0]], axis=1))
    agrees(rows, np.stack([1 - first, first], axis=1))


def test_an_objective_of_ones_own_has_classes_where_catboost_says_so():
    class Logistic:
        def calc_ders_range(self, values, targets, weights):
            shares = 1 / (1 + np.exp(-np.array(values)))
            return list(zip(np.array(targets) - shares, -shares * (1 - shares), strict=True))

    with pytest.warns(UserWarning, match="numba"):
        model = fitted(FRAME, (LABELS == 0) * 1, loss_function=Logistic(), eval_metric="Logloss")
    agrees(run(model), model.predict_proba(FRAME))


def test_a_sum_of_models_does_not_know_its_objective():
    summed = catboost.sum_models([MODEL, fitted(FRAME, NAMES, random_seed=1)], weights=[0.5, 0.5])
    rows = run(summed)
    assert rows.class_names == ["a", "b", "c"]
    agrees(rows, softmax(summed.predict(FRAME, prediction_type="RawFormulaVal")))


# Members


def test_virtual_ensembles_are_members():
    model = fitted(FRAME, NAMES, posterior_sampling=True)
    rows = run(model, options={"members": True})
    values = model.virtual_ensembles_predict(FRAME, prediction_type="VirtEnsembles", virtual_ensembles_count=10)
    assert rows.members.shape == (len(FRAME), 10, 3)
    np.testing.assert_allclose(rows.members, softmax(values), rtol=0, atol=1e-6)
    agrees(rows, softmax(values).mean(axis=1))
    assert rows.class_names == ["a", "b", "c"]
    assert rows.meta["options"] == {"members": True, "virtual_ensembles": 10}
    assert run(model, options={"members": True}, batch_size=7).members.tobytes() == rows.members.tobytes()


def test_virtual_ensembles_of_two_classes():
    model = fitted(FRAME, LABELS == 0)
    rows = run(model, options={"members": True, "virtual_ensembles": 3})
    values = model.virtual_ensembles_predict(FRAME, prediction_type="VirtEnsembles", virtual_ensembles_count=3)
    np.testing.assert_allclose(rows.members, sigmoid(values[:, :, 0]), rtol=0, atol=1e-6)


def test_members_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match=r"Not enough trees.*it has 20: set fewer"):
        run(MODEL, options={"members": True, "virtual_ensembles": 100})
    with pytest.raises(ValueError, match="set the option members, too"):
        run(MODEL, options={"virtual_ensembles": 3})
