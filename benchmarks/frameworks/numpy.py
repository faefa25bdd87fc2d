"""The agnostic backend: objects with predict_proba, and a bare loop over it."""

import data
import numpy as np
import ours

from probly.data_generator import SimpleDataLoader


class Linear:
    """A softmax regression in NumPy."""

    def __init__(self):
        self.weights = np.random.default_rng(data.SEED).normal(size=(28 * 28, 10)).astype(np.float32)

    def predict_proba(self, inputs):
        scores = inputs.reshape(len(inputs), -1) @ self.weights
        exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return exponentials / exponentials.sum(axis=-1, keepdims=True)


def sklearn():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    inputs, labels = data.arrays(200, (28, 28, 1))
    flatten = FunctionTransformer(lambda images: images.reshape(len(images), -1))
    return make_pipeline(flatten, LogisticRegression(max_iter=5, tol=1.0)).fit(inputs, labels)


def factories(row, samples, workers):
    """Return functions that make the contestants of a row, by name; our plain loader has no workers."""
    model = {"linear": Linear, "sklearn": sklearn}[row.model]()
    if row.data == "arrays":
        dataset = data.arrays(samples, row.shape)
        return {"hand": lambda: hand_sliced(model, dataset, row), **ours.factories(row, model, dataset)}
    dataset = data.images(row, samples)
    loader = SimpleDataLoader(dataset, row.batch)
    return {
        "hand": lambda: hand_per_item(model, dataset, row),
        "loader": lambda: hand_loader(model, loader, row),
        **ours.factories(row, model, loader if row.data == "loader" else dataset),
    }


def hand_sliced(model, dataset, row):
    inputs = dataset[0]

    def run(folder):
        rows = np.empty((len(inputs), 10), np.float32)
        for start in range(0, len(inputs), row.batch):
            stop = start + row.batch
            rows[start:stop] = model.predict_proba(inputs[start:stop])
        return rows

    return run


def hand_per_item(model, dataset, row):
    def run(folder):
        rows = np.empty((len(dataset), 10), np.float32)
        for start in range(0, len(dataset), row.batch):
            stop = min(start + row.batch, len(dataset))
            rows[start:stop] = model.predict_proba(np.stack([dataset[index][0] for index in range(start, stop)]))
        return rows

    return run


def hand_loader(model, loader, row):
    def run(folder):
        rows = np.empty((len(loader.dataset), 10), np.float32)
        start = 0
        for inputs, _ in loader:
            stop = start + len(inputs)
            rows[start:stop] = model.predict_proba(inputs)
            start = stop
        return rows

    return run


def settings():
    """Return what tells this process from another one."""
    return {"numpy": np.__version__, "device": "cpu"}
