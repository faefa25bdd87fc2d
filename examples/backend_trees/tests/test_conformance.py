"""The suite that every backend passes, with a forest in the place of models with given weights."""

import grove
import numpy as np

from probly.data_generator.testing import BackendConformance, Classifier


class TestGrove(BackendConformance):
    backend = "grove"
    framework_modules = ("grove",)
    cannot = frozenset({"weights", "logits", "functions", "posterior", "bfloat16"})

    def classifier(self):
        random = np.random.default_rng(0)
        inputs = random.normal(size=(50, 5)).astype(np.float32)
        forest = grove.Forest().fit(inputs, inputs[:, :3].argmax(axis=1))
        return Classifier(forest, inputs, forest.predict_proba(inputs))

    def model_state(self, model):
        return model.arrays()
