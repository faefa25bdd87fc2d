"""The suite on CatBoost, and the models that its own tests share with it."""

import catboost
import numpy as np

from probly.data_generator.testing import BackendConformance, Classifier

SETTINGS = {
    "iterations": 20,
    "depth": 3,
    "thread_count": 1,
    "random_seed": 0,
    "verbose": False,
    "allow_writing_files": False,
}


def fitted(inputs, labels, kind=catboost.CatBoostClassifier, **settings):
    """Return a model that was fitted to an array or a table."""
    return kind(**{**SETTINGS, **settings}).fit(inputs, labels)


class TestCatboost(BackendConformance):
    backend = "catboost"
    framework_modules = ("catboost",)
    cannot = frozenset({"weights", "logits", "functions", "posterior", "bfloat16"})

    def classifier(self):
        inputs = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
        model = fitted(inputs, inputs[:, :3].argmax(axis=1))
        return Classifier(model, inputs, model.predict_proba(inputs))

    def model_state(self, model):
        return {"stored": model._serialize_model(), "parameters": repr(model.get_params())}
