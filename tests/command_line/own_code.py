"""A user's own module of models and datasets, and running `first-order generate` on it."""

import numpy as np

from probly.data_generator.store import open_store

ROWS = np.random.default_rng(0).dirichlet(np.ones(3), size=20)
LABELS = np.arange(20) % 3
CODE = """
import numpy as np

SEEN = []


def model(inputs):
    SEEN.append(inputs)
    return inputs


def first(inputs):
    return np.stack([inputs["a"], inputs["b"], 1 - inputs["a"] - inputs["b"]], axis=1)


def mean(inputs):  # the mean of a picture decides among three classes
    SEEN.append(inputs)
    means = inputs.reshape(len(inputs), -1).mean(axis=1)
    return np.stack([means, 1 - means, 0 * means], axis=1)


def bright(inputs):  # the same without a memory, so that it is the same model again
    means = inputs.reshape(len(inputs), -1).mean(axis=1)
    return np.stack([means, 1 - means, 0 * means], axis=1)


def tiny(image):
    return np.asarray(image.convert("L").resize((2, 2)), np.float64) / 255


def test_set():
    return [(row, 0) for row in np.eye(3)]


class Broken:
    def __reduce__(self):
        return exec, ("open('hacked', 'w')",)
"""


def generate(shell, data, model="model"):
    return shell.json(f"generate --backend numpy --model mine:{model} --out out.fod --data {data}")


def seen():
    import mine

    inputs = np.concatenate(mine.SEEN)
    mine.SEEN.clear()
    return inputs


def check_rows():
    store = open_store("out.fod")
    np.testing.assert_allclose(store.probabilities, ROWS, atol=1e-7)
    return store
