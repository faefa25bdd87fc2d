"""An invented library of decision trees, in the place of yours: forests of trees with one question each."""

from pathlib import Path

import numpy as np


class Forest:
    """Trees that each ask whether one feature is beyond a threshold, and answer with the classes seen on that side."""

    def __init__(self, trees=100, seed=0):
        self.trees, self.random = trees, np.random.default_rng(seed)

    def fit(self, inputs, labels):
        """Draw the questions at random and count the answers; every class gets one half more."""
        self.classes = [str(name) for name in np.unique(labels)]
        self.features = self.random.integers(0, inputs.shape[1], self.trees)
        self.thresholds = inputs[self.random.integers(0, len(inputs), self.trees), self.features]
        member = np.asarray(labels)[:, None] == np.unique(labels)
        beyond = inputs[:, self.features] > self.thresholds
        counts = np.stack([side.T.astype(float) @ member for side in (~beyond, beyond)], axis=1) + 0.5
        self.answers = counts / counts.sum(axis=2, keepdims=True)
        return self

    def predict_proba(self, inputs):
        """Return the mean answer of all trees."""
        beyond = (inputs[:, self.features] > self.thresholds).astype(int)
        return self.answers[np.arange(self.trees), beyond].mean(axis=1)

    def arrays(self):
        """Return what was learned."""
        return {"features": self.features, "thresholds": self.thresholds, "answers": self.answers}


def save(path, forest):
    """Write a forest to a file, which ends in ``.grove``."""
    with Path(path).open("wb") as file:
        np.savez(file, classes=np.array(forest.classes), **forest.arrays())


def load(path):
    """Read a forest from a file; nothing in it is run."""
    with np.load(path, allow_pickle=False) as arrays:
        forest = Forest(len(arrays["features"]))
        forest.classes = arrays["classes"].tolist()
        forest.features, forest.thresholds = arrays["features"], arrays["thresholds"]
        forest.answers = arrays["answers"]
    return forest
