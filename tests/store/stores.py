"""A small run that streams to a store, and what its rows must be."""

import contextlib
import os

import numpy as np

from probly.data_generator import FirstOrderDataGenerator, hookimpl
from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.run.identity import describe_dataset
from probly_data_generator_store import files, publisher

CLASSES = 3
BATCH = 5
ROWS = 43
INPUTS = np.random.default_rng(0).normal(size=(ROWS, CLASSES)).astype(np.float32)
LABELS = np.arange(ROWS) % CLASSES
DATA = (INPUTS, LABELS)
TEN_ROWS = 10 * CLASSES * 4 / 2**20
"""The megabytes of a shard of ten rows, that is, two batches."""


publisher.EARLY_BYTES = 50  # shards of ten rows are begun before they are full


class Linear:
    """A model whose weights can be seen."""

    def __init__(self, scale=2.0):
        self.weights = np.eye(CLASSES, dtype=np.float32) * np.float32(scale)

    def __call__(self, inputs):
        return inputs @ self.weights


def generator(model=None, **options):
    options = {"batch_size": BATCH, "output_mode": "auto", "backend": "numpy", **options}
    return FirstOrderDataGenerator(model or Linear(), **options)


def run(
    path,
    data=DATA,
    *,
    shard_megabytes=TEN_ROWS,
    shard_seconds=1e9,
    encoding="float32",
    representation=None,
    keys=None,
    probe=True,
    **options,
):
    return generator(**options).generate_distributions(
        data,
        progress=False,
        out=path,
        shard_megabytes=shard_megabytes,
        shard_seconds=shard_seconds,
        encoding=encoding,
        representation=representation,
        keys=keys,
        probe=probe,
    )


EXPECTED = generator().generate_distributions(DATA, progress=False)


def agrees(store):
    """Return whether a store holds the expected rows and labels, bit by bit."""
    same = np.asarray(store).tobytes() == EXPECTED.probabilities.tobytes()
    return same and store.indices.tolist() == list(range(ROWS)) and store.labels.tobytes() == LABELS.tobytes()


PRIMITIVES = ("create", "write", "sync", "give_name", "rename", "remove", "make_directory", "sync_directory")


@contextlib.contextmanager
def watching(before):
    """Call ``before(name, original, *arguments)`` in place of every operation that changes the disk."""
    originals = {name: getattr(files, name) for name in PRIMITIVES}

    def watched(name):
        return lambda *arguments: before(name, originals[name], *arguments)

    for name in PRIMITIVES:
        setattr(files, name, watched(name))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(files, name, original)


class Counting:
    """A wrapper that counts the rows that the model computes."""

    def __init__(self):
        self.rows = 0

    @hookimpl(wrapper=True)
    def forward(self, inputs):
        self.rows += len(inputs)
        return (yield)


class Images:
    """A dataset that is read sample by sample."""

    def __init__(self, inputs=INPUTS, labels=LABELS):
        self.inputs, self.labels, self.read = inputs, labels, []

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        self.read.append(index)
        return self.inputs[index], int(self.labels[index])


def probed():
    """Return the samples that are read to tell a dataset from another one."""
    dataset = Images()
    describe_dataset(dataset, load_backend(find_backend("numpy")))
    return dataset.read


def shard(path, number):
    """Return the path of a shard."""
    return path / "shards" / sorted(os.listdir(path / "shards"))[number]


def pointer(array):
    """Return where an array's memory begins."""
    return array.__array_interface__["data"][0]
