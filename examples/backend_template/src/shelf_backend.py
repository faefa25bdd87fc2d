"""The backend of shelf_arrays, which is imported inside the hooks only."""

from types import SimpleNamespace

import numpy as np

from probly.data_generator import HOST, batches, hookimpl, nests, outputs, posterior
from probly.data_generator.toolkit.digest import digest
from probly.data_generator.toolkit.importing import import_model


@hookimpl
def load_model(source, device):
    model = import_model(source) if isinstance(source, str) else source
    if not callable(model):
        raise TypeError(f"expected a shelf_arrays.Module or a function, got {type(model).__name__}")
    device = checked(device or "upper")
    model = model.on(device) if recognizes(model) else model
    return SimpleNamespace(function=model, device=device, arrays=model.arrays() if recognizes(model) else {})


@hookimpl
def iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start):
    return batches.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stack=stack)


@hookimpl
def to_device(data, device):
    shelf = None if device == HOST else checked(device)
    return nests.map_leaves(lambda leaf: to_shelf(leaf, shelf) if shelf else to_host(leaf), data)


@hookimpl
def forward(model, inputs, output_mode):
    answers = model.function(inputs)
    return answers if output_mode == "raw" else outputs.as_probabilities(answers, output_mode, operations())


@hookimpl
def posterior_params(model):
    return posterior.pair_mu_rho((name, array.on(model.device)) for name, array in model.arrays.items())


# Optional hooks: automatic choice, smaller batches where memory is short, stores that go on, check_backend


@hookimpl
def recognizes(model):
    return "shelf_arrays" in {kind.__module__.partition(".")[0] for kind in type(model).__mro__}


@hookimpl
def is_out_of_memory(error):
    return isinstance(error, MemoryError)


@hookimpl
def weight_digest(model):
    return digest(sorted(model.arrays.items())) if model.arrays else ""


@hookimpl
def available_devices():
    import shelf_arrays

    return list(shelf_arrays.SHELVES)


# What the hooks are made of


def checked(device):
    if device not in available_devices():
        available = ", ".join(map(repr, available_devices()))
        raise ValueError(f"device {device!r} is not available; available: {available}")
    return device


def stack(samples):
    import shelf_arrays

    ours = all(isinstance(sample, shelf_arrays.Array) for sample in samples)
    return shelf_arrays.stack(samples) if ours else nests.collate(samples)


def to_host(leaf):
    array = np.asarray(leaf) if hasattr(leaf, "__array__") else leaf
    return array.astype(np.float32) if getattr(array, "dtype", None) == np.float16 else array


def to_shelf(leaf, shelf):
    import shelf_arrays

    array = np.asarray(leaf) if hasattr(leaf, "__array__") else None
    return leaf if array is None or array.dtype.kind not in "biuf" else shelf_arrays.Array(array, shelf)


def operations():
    import shelf_arrays

    def renormalise(rows, tolerance):
        sums = shelf_arrays.total(rows)
        return rows / sums.mapped(lambda values: np.where(np.abs(values - 1) <= tolerance, values, 1))

    return SimpleNamespace(
        # A copy: a model may write its next answers to the same memory before these are fetched.
        float32=lambda scores: scores.astype(np.float32),
        is_half=lambda scores: scores.dtype == np.float16,
        softmax=shelf_arrays.softmax,
        sigmoid=shelf_arrays.sigmoid,
        two_columns=lambda first, second: shelf_arrays.stack([first, second], axis=-1),
        renormalise=renormalise,
    )
