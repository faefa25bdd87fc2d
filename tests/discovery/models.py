"""NumPy models whose weights can be seen, which work in place and count their calls."""

import numpy as np

import probly.data_generator as fod


class Linear:
    """A NumPy model whose weights can be seen; it works in place and counts its calls."""

    calls = 0

    def __init__(self, seed=0):
        self.weights = np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32)

    def __call__(self, inputs):
        First.calls += 1
        inputs *= 2
        return inputs @ self.weights


First = Linear


class Filled(Linear):
    """The same with 0 in place of what is masked."""

    def __call__(self, inputs):
        return super().__call__(np.ma.filled(inputs, 0))


class Halved(Linear):
    """A model that returns its inputs in half precision."""

    def __call__(self, inputs):
        super().__call__(np.zeros((1, 5), np.float32))
        return inputs.astype(np.float16)


class ByName(Linear):
    """A model of tables, which picks columns by name."""

    def __call__(self, table):
        return table[["a", "b"]].to_numpy()


class Several(Linear):
    """A model that returns more than its scores."""

    def __call__(self, inputs):
        return {"scores": super().__call__(inputs), "hidden": inputs}


class Named:
    """A NumPy model of two inputs by name."""

    calls = 0

    def __init__(self):
        self.scale = 1.0

    def __call__(self, inputs):
        Named.calls += 1
        return self.scale * (inputs["left"] - inputs["right"])


def inputs(rows=40, seed=1):
    return np.random.default_rng(seed).normal(size=(rows, 5)).astype(np.float32)


def generator(model, *wrappers, **options):
    settings = {"backend": "numpy", "output_mode": "logits", "batch_size": 8, **options}
    return fod.FirstOrderDataGenerator(model, wrappers=list(wrappers), **settings)


def plain_rows(model, data, **options):
    return generator(model, **options).generate_distributions(data)
