"""What changes a booster: each change is refused by a store."""

import lightgbm
import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator, StoreError
from tests.frameworks.lightgbm import SETTINGS
from tests.lightgbm_backend.runs import FRAME, LABELS


def made(**settings):
    data = lightgbm.Dataset(FRAME, LABELS)
    asked = {**SETTINGS, "objective": "multiclass", "num_class": 3, **settings}
    return lightgbm.train(asked, data, 4, keep_training_booster=True)


def best(booster):
    booster.best_iteration = 2


CHANGES = {
    "a round": lambda booster: booster.update() and None,
    "a round less": lambda booster: booster.rollback_one_iter() and None,
    "the best round": best,
    "a leaf": lambda booster: booster.set_leaf_output(3, 1, 0.5) and None,
    "the order of the rounds": lambda booster: booster.shuffle_models() and None,
    "another rate": lambda booster: made(learning_rate=0.2),
    "another objective": lambda booster: made(objective="multiclassova"),
}
"""What is done to a booster, or what it is replaced by."""


def run(model, path):
    return FirstOrderDataGenerator(model).generate_distributions(FRAME, out=path, progress=False)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_booster_is_refused(tmp_path, change):
    np.random.seed(0)  # noqa: NPY002  # what LightGBM shuffles with
    booster = made()
    run(booster, tmp_path / "a.fod")
    changed = CHANGES[change](booster) or booster
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(changed, tmp_path / "a.fod")


def test_settings_of_how_and_not_what_do_not_count(tmp_path):
    rows = run(made(), tmp_path / "a.fod")
    again = made(num_threads=2, deterministic=True, force_row_wise=True)
    np.testing.assert_array_equal(np.asarray(run(again, tmp_path / "a.fod")), np.asarray(rows))
