"""What changes a booster: each change is refused by a store."""

import numpy as np
import pytest
import xgboost

from probly.data_generator import FirstOrderDataGenerator, StoreError
from tests.frameworks.xgboost import SETTINGS
from tests.xgboost_backend.runs import FRAME, LABELS


def made(**settings):
    data = xgboost.DMatrix(FRAME, LABELS)
    return xgboost.train({**SETTINGS, "objective": "multi:softprob", "num_class": 3, **settings}, data, 4)


def updated(booster):
    booster.update(xgboost.DMatrix(FRAME, LABELS), booster.num_boosted_rounds())


def renamed(booster):
    booster.feature_names = ["dose", "age", "size", "rest"]


CHANGES = {
    "a round": updated,
    "fewer rounds": lambda booster: booster[:2],
    "the names of its columns": renamed,
    "another seed": lambda booster: made(subsample=0.5, seed=1),
    "another rate": lambda booster: made(eta=0.1),
    "another base": lambda booster: made(base_score=[0.2, 0.3, 0.5]),
    "another objective": lambda booster: made(objective="multi:softmax"),
}
"""What is done to a booster, or what it is replaced by."""


def run(model, path):
    return FirstOrderDataGenerator(model).generate_distributions(FRAME, out=path, progress=False)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_booster_is_refused(tmp_path, change):
    booster = made()
    run(booster, tmp_path / "a.fod")
    changed = CHANGES[change](booster) or booster
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(changed, tmp_path / "a.fod")


def test_settings_of_how_and_not_what_do_not_count(tmp_path):
    booster = made()
    rows = run(booster, tmp_path / "a.fod")
    booster.set_param({"nthread": 2, "eta": 0.7})
    np.testing.assert_array_equal(np.asarray(run(booster, tmp_path / "a.fod")), np.asarray(rows))
