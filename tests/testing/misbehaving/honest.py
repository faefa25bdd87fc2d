"""The agnostic backend as an object whose hooks can be replaced one by one, and what else keeps its promises."""

import numpy as np

from probly.data_generator.discovery import defaults
from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.numpy_backend import backend as honest
from probly.data_generator.testing import Classifier, reference
from probly.data_generator.toolkit.nests import map_leaves
from tests.frameworks.numpy import TestNumpy as Suite


class Honest:
    @hookimpl
    def load_model(self, source, device):
        return honest.load_model(source, device)

    @hookimpl
    def iterate_batches(self, dataset, batch_size, input_getter, index_getter, batched, start, stop, label_getter):
        getters = input_getter, index_getter
        return defaults.iterate_batches(dataset, batch_size, *getters, batched, start, stop, label_getter)

    @hookimpl
    def to_device(self, data, device):
        return defaults.to_device(data, device)

    @hookimpl
    def forward(self, model, inputs, batch_size):
        return honest.forward(model, inputs, batch_size)

    @hookimpl
    def posterior_params(self, model):
        return honest.posterior_params(model)

    @hookimpl
    def is_out_of_memory(self, error):
        return honest.is_out_of_memory(error)


BFLOAT16 = np.dtype([("bfloat16", np.uint16)])


def upcast(rows):
    if getattr(rows, "dtype", None) != BFLOAT16:
        return rows
    return (rows.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


class WithBfloat16(Honest):
    """The agnostic backend on a NumPy that has bfloat16."""

    @hookimpl
    def to_device(self, data, device):
        return map_leaves(upcast, data) if device == HOST else defaults.to_device(data, device)


class ListsItsDevice(Honest):
    @hookimpl
    def available_devices(self):
        return ["cpu"]


class ListsItsChoices(Honest):
    @hookimpl
    def choices(self):
        return {"device": ["cpu"]}


class ClaimsItsOwn(Honest):
    @hookimpl
    def recognizes(self, source):
        return type(source).__name__ == "MLP"


class TellsWeights(Honest):
    @hookimpl
    def weight_digest(self, model):
        return honest.weight_digest(model)


class TellsData(Honest):
    """Its framework's own datasets are those of tests/frameworks/numpy.py."""

    @hookimpl
    def data_digest(self, dataset):
        return repr(dataset.inputs.tolist()) if hasattr(dataset, "inputs") else None


class DrawsFromItsSeed(Honest):
    @hookimpl
    def stochastic_forward(self, model, inputs, batch_size, seed):
        noise = np.random.default_rng(seed).normal(size=np.shape(inputs))
        return honest.forward(model, inputs + noise, batch_size)


class Pads(Honest):
    """Compiles per shape, as it were."""

    @hookimpl
    def forward(self, model, inputs, batch_size):
        rows = len(inputs)
        if batch_size is None or rows >= batch_size:
            return honest.forward(model, inputs, batch_size)
        padded = np.concatenate([inputs, np.repeat(inputs[-1:], batch_size - rows, axis=0)])
        return honest.forward(model, padded, batch_size)[:rows]


class FilesOnly(Honest):
    @hookimpl
    def load_model(self, source, device):
        if callable(source) and type(source).__name__ == "function":
            raise TypeError("expected a file as model, got function")
        return honest.load_model(source, device)


class TwoHooks:
    """All that a backend must have."""

    @hookimpl
    def load_model(self, source, device):
        return honest.load_model(source, device)

    @hookimpl
    def forward(self, model, inputs, batch_size):
        return honest.forward(model, inputs, batch_size)


class WithGraph(np.ndarray):
    """Stands for an array that remembers what it was computed from."""


class Dummies(Suite):
    """The suite on these backends, with what NumPy itself does not have."""

    def bfloat16(self, example):
        return lambda batch: (reference.bfloat16(batch).view(np.uint32) >> 16).astype(np.uint16).view(BFLOAT16)

    def keeps_gradients(self, array):
        return isinstance(array, WithGraph)


class Trained(Dummies):
    """The suite with a model that comes with its own predictions."""

    def classifier(self):
        inputs, _ = reference.samples(rows=20)
        rows = reference.softmax(inputs[:, :3]).astype(np.float32)
        known = {tuple(sample): row for sample, row in zip(inputs.tolist(), rows, strict=True)}
        return Classifier(lambda batch: np.array([known[tuple(sample)] for sample in batch.tolist()]), inputs, rows)


class Constant(Trained):
    """The suite with a reference that no backend can miss."""

    def classifier(self):
        rows = np.full((20, 4), 0.25, np.float32)
        return Classifier(lambda batch: np.full((len(batch), 4), 0.25), rows, rows)


# Those that pass: the plain one, and some with what it does not have.
HONEST = {
    "honest": Honest(),
    "two-hooks": TwoHooks(),
    "has-bfloat16": WithBfloat16(),
    "lists-its-device": ListsItsDevice(),
    "lists-its-choices": ListsItsChoices(),
    "claims-its-own": ClaimsItsOwn(),
    "tells-weights": TellsWeights(),
    "tells-data": TellsData(),
    "draws-from-its-seed": DrawsFromItsSeed(),
    "pads-well": Pads(),
    "files-only": FilesOnly(),
}
