"""What changes a model: each change is refused by a store."""

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator, StoreError
from tests.catboost_backend.runs import FRAME, IN_ULM, LABELS, NAMES, TOWNS
from tests.frameworks.catboost import fitted

CHANGES = {
    "a scale": lambda model: model.set_scale_and_bias(1.5, [0.0, 0.0, 0.0]),
    "a bias": lambda model: model.set_scale_and_bias(1.0, [0.1, 0.0, 0.0]),
    "fewer trees": lambda model: model.shrink(10),
    "a leaf": lambda model: model.set_leaf_values(
        model.get_leaf_values() * np.r_[2.0, np.ones(len(model.get_leaf_values()) - 1)]
    ),
    "the names of its columns": lambda model: model.set_feature_names(["dose", "age", "size", "rest"]),
    "another fit": lambda model: model.fit(FRAME, np.roll(NAMES, 1)) and None,
    "other classes": lambda model: model.fit(FRAME, LABELS) and None,
}
"""What is done to a model after it was fitted."""


def run(model, path, data=FRAME, **options):
    return FirstOrderDataGenerator(model, **options).generate_distributions(data, out=path, progress=False)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_refused(tmp_path, change):
    model = fitted(FRAME, NAMES)
    run(model, tmp_path / "a.fod")
    CHANGES[change](model)
    with pytest.raises(StoreError, match=r"model digest: the store has 'sha256:|class_names"):
        run(model, tmp_path / "a.fod")


def test_what_it_learned_of_categories_counts(tmp_path):
    model = fitted(TOWNS, IN_ULM, cat_features=["town", "rooms"])
    run(model, tmp_path / "a.fod", TOWNS)
    other = fitted(TOWNS, IN_ULM, cat_features=["town", "rooms"], simple_ctr="Borders:Prior=0.1")
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(other, tmp_path / "a.fod", TOWNS)


def test_the_number_of_virtual_ensembles_counts(tmp_path):
    model = fitted(FRAME, NAMES)
    run(model, tmp_path / "a.fod", options={"members": True})
    with pytest.raises(StoreError, match="virtual_ensembles"):
        run(model, tmp_path / "a.fod", options={"members": True, "virtual_ensembles": 5})
    run(model, tmp_path / "a.fod", options={"members": True, "virtual_ensembles": 10})


def test_the_time_and_the_threads_of_a_fit_do_not_count(tmp_path):
    rows = run(fitted(FRAME, NAMES), tmp_path / "a.fod")
    again = fitted(FRAME, NAMES, thread_count=2, metric_period=5)
    np.testing.assert_array_equal(np.asarray(run(again, tmp_path / "a.fod")), np.asarray(rows))
