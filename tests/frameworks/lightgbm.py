"""The suite on LightGBM, and the boosters that its own tests share with it."""

import lightgbm
import numpy as np

from probly.data_generator.testing import BackendConformance, Classifier

SETTINGS = {"verbose": -1, "num_threads": 1, "num_leaves": 7, "min_data_in_leaf": 3, "min_data_per_group": 1}


def trained(inputs, labels, objective="multiclass", rounds=5, **settings):
    """Return a booster that was trained on an array or a table."""
    if str(objective).startswith("multiclass"):
        settings = {"num_class": 3, **settings}
    return lightgbm.train({**SETTINGS, "objective": objective, **settings}, lightgbm.Dataset(inputs, labels), rounds)


class TestLightgbm(BackendConformance):
    backend = "lightgbm"
    framework_modules = ("lightgbm",)
    cannot = frozenset({"weights", "logits", "functions", "posterior", "bfloat16"})

    def classifier(self):
        inputs = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
        booster = trained(inputs, inputs[:, :3].argmax(axis=1))
        return Classifier(booster, inputs, booster.predict(inputs))

    def model_state(self, model):
        return {"stored": model.model_to_string(), "parameters": repr(model.params)}
