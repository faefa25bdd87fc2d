"""The suite on XGBoost, and the boosters that its own tests share with it."""

import numpy as np
import xgboost

from probly.data_generator.testing import BackendConformance, Classifier

SETTINGS = {"nthread": 1, "max_depth": 3}


def trained(inputs, labels, objective="multi:softprob", rounds=5, **settings):
    """Return a booster that was trained on an array or a table."""
    if objective.startswith("multi:"):
        settings = {"num_class": 3, **settings}
    data = xgboost.DMatrix(inputs, labels, enable_categorical=True)
    return xgboost.train({**SETTINGS, "objective": objective, **settings}, data, rounds)


class TestXgboost(BackendConformance):
    backend = "xgboost"
    framework_modules = ("xgboost",)
    cannot = frozenset({"weights", "logits", "functions", "posterior", "bfloat16"})

    def classifier(self):
        inputs = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
        booster = trained(inputs, inputs[:, :3].argmax(axis=1))
        return Classifier(booster, inputs, booster.predict(xgboost.DMatrix(inputs)))

    def model_state(self, model):
        return {"stored": bytes(model.save_raw("ubj")), "config": model.save_config()}
