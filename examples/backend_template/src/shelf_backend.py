"""The backend of shelf_arrays, which is imported inside the hooks only."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from probly.data_generator import HOST, hookimpl
from probly.data_generator.toolkit import arrays, digest, importing, nests, posterior, recognition


@hookimpl
def load_model(source, device):
    import shelf_arrays

    if isinstance(source, str | Path):
        named = importing.is_import_path(str(source))
        source = importing.import_model(str(source)) if named else shelf_arrays.load(source)
    if not isinstance(source, shelf_arrays.Module):
        device = checked(device or "upper")
        return SimpleNamespace(function=source, device=device, arrays={})
    model = source.on(checked(device or source.shelf))
    return SimpleNamespace(function=model, device=model.shelf, arrays=model.arrays())


@hookimpl
def to_device(data, device):
    return arrays.to_host(data) if device == HOST else nests.map_leaves(lambda leaf: on_shelf(leaf, device), data)


@hookimpl
def forward(model, inputs):
    return model.function(inputs)


# Optional hooks: posteriors, automatic choice, smaller batches, stores that continue, check_backend


@hookimpl
def posterior_params(model):
    return posterior.pair_mu_rho(model.arrays.items())


@hookimpl
def recognizes(source):
    return source.suffix == ".shelf" if isinstance(source, Path) else recognition.class_from(source, "shelf_arrays")


@hookimpl
def is_out_of_memory(error):
    return isinstance(error, MemoryError)


@hookimpl
def weight_digest(model):
    return digest.digest(sorted(model.arrays.items())) if model.arrays else ""


@hookimpl
def available_devices():
    import shelf_arrays

    return list(shelf_arrays.SHELVES)


# What the hooks are made of


def checked(device):
    if device not in available_devices():
        raise ValueError(f"device {device!r} is not available; available: {', '.join(available_devices())}")
    return device


def on_shelf(leaf, shelf):
    import shelf_arrays

    numbers = hasattr(leaf, "__array__") and np.asarray(leaf).dtype.kind in "biufc"
    return shelf_arrays.Array(leaf, checked(shelf)) if numbers else leaf
