"""JAX: the models (flax.nnx), the loop by hand, and what others do instead."""

import data
import jax
import jax.numpy as jnp
import numpy as np
import ours
from flax import nnx


class Linear(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(28 * 28, 10, rngs=rngs)

    def __call__(self, x):
        return self.dense(x.reshape(len(x), -1))


class Cnn(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Conv(1, 16, (3, 3), rngs=rngs)
        self.second = nnx.Conv(16, 32, (3, 3), rngs=rngs)
        self.dense = nnx.Linear(32 * 7 * 7, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.first(x)), (2, 2), (2, 2))
        x = nnx.max_pool(nnx.relu(self.second(x)), (2, 2), (2, 2))
        return self.dense(x.reshape(len(x), -1))


class Block(nnx.Module):
    def __init__(self, before, after, stride, rngs):
        self.first = nnx.Conv(before, after, (3, 3), stride, use_bias=False, rngs=rngs)
        self.first_norm = nnx.BatchNorm(after, rngs=rngs)
        self.second = nnx.Conv(after, after, (3, 3), use_bias=False, rngs=rngs)
        self.second_norm = nnx.BatchNorm(after, rngs=rngs)
        self.narrow = stride != 1 or before != after
        if self.narrow:
            self.skip = nnx.Conv(before, after, (1, 1), stride, use_bias=False, rngs=rngs)
            self.skip_norm = nnx.BatchNorm(after, rngs=rngs)

    def __call__(self, x):
        body = self.second_norm(self.second(nnx.relu(self.first_norm(self.first(x)))))
        return nnx.relu(body + (self.skip_norm(self.skip(x)) if self.narrow else x))


class ResNet(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Conv(3, 64, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(64, rngs=rngs)
        sizes = ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2))
        self.blocks = nnx.List([Block(*size, rngs) for size in (*sizes, (512, 512, 1))])
        self.dense = nnx.Linear(512, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.first(x)))
        for block in self.blocks:
            x = block(x)
        return self.dense(x.mean((1, 2)))


def make_model(row):
    model = {"linear": Linear, "cnn": Cnn, "resnet": ResNet}[row.model](nnx.Rngs(data.SEED))
    model.eval()
    return model


def compiled(model):
    """Return the jitted step of an nnx module: inputs to probabilities, with the weights as an argument."""
    graph, weights = nnx.split(model)

    @jax.jit
    def step(weights, inputs):
        return jax.nn.softmax(nnx.merge(graph, weights)(inputs))

    return lambda inputs: step(weights, inputs)


def factories(row, samples, workers):
    """Return functions that make the contestants of a row, by name."""
    model = make_model(row)
    if row.data == "arrays":
        dataset = data.arrays(samples, row.shape)
        found = {"hand": lambda: hand_sliced(model, dataset, row), **ours.factories(row, model, dataset)}
        if row.sink == "memory" and row.model != "resnet":
            found["loader"] = lambda: hand_loader(model, torch_loader(data.Pairs(*dataset), row.batch, 0), row)
        return found
    dataset = data.images(row, samples)
    with_workers = torch_loader(dataset, row.batch, workers)
    return {
        "hand": lambda: hand_per_item(model, dataset, row),
        "loader": lambda: hand_loader(model, torch_loader(dataset, row.batch, 0), row),
        f"loader, {workers} workers": lambda: hand_loader(model, with_workers, row),
        **ours.factories(row, model, with_workers if row.data == "loader" else dataset),
    }


def torch_loader(dataset, batch, workers):
    """Return the loader that JAX's own tutorials use: torch's, with NumPy batches."""
    import multiprocessing

    from torch.utils.data import DataLoader

    # JAX has threads of its own, which a forked worker would find locked; a server forks them, warm, instead.
    context = multiprocessing.get_context("forkserver") if workers else None
    if context:
        context.set_forkserver_preload(["torch", "PIL.PngImagePlugin", "data"])
    return DataLoader(dataset, batch, num_workers=workers, collate_fn=data.stack, multiprocessing_context=context)


def hand_sliced(model, dataset, row):
    inputs, step = dataset[0], compiled(model)

    def run(folder):
        rows = np.empty((len(inputs), 10), np.float32)
        for start in range(0, len(inputs), row.batch):
            stop = start + row.batch
            rows[start:stop] = step(inputs[start:stop])
        return rows

    return run


def hand_per_item(model, dataset, row):
    step = compiled(model)

    def run(folder):
        rows = np.empty((len(dataset), 10), np.float32)
        for start in range(0, len(dataset), row.batch):
            stop = min(start + row.batch, len(dataset))
            rows[start:stop] = step(np.stack([dataset[index][0] for index in range(start, stop)]))
        return rows

    return run


def hand_loader(model, loader, row):
    step = compiled(model)

    def run(folder):
        rows = np.empty((len(loader.dataset), 10), np.float32)
        start = 0
        for inputs, _ in loader:
            stop = start + len(inputs)
            rows[start:stop] = step(jnp.asarray(inputs))
            start = stop
        return rows

    return run


def settings():
    """Return what tells this process from another one."""
    return {"jax": jax.__version__, "device": jax.devices()[0].platform}
