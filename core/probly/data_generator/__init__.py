"""First-order data: the class distribution p(y|x) of every sample, from any pretrained classifier and any dataset.

What stands in ``__all__`` is imported when it is first asked for: the command line starts without NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probly.data_generator.bound_generator import BaseDataGenerator, create_data_generator
    from probly.data_generator.discovery.diagnosis import BackendReport, check_backend
    from probly.data_generator.discovery.listing import BackendInfo, list_backends, list_wrappers
    from probly.data_generator.distributions import Distributions
    from probly.data_generator.errors import (
        AlignmentError,
        AmbiguousBackendError,
        BackendError,
        BackendNotInstalledError,
        BrokenBackendError,
        InvalidOutputError,
        NotInstalledError,
        StoreError,
        UnknownBackendError,
        WorkerError,
    )
    from probly.data_generator.generator import FirstOrderDataGenerator
    from probly.data_generator.hookspecs import HOST, hookimpl
    from probly.data_generator.soft_targets import FirstOrderDataset, output_dataloader
    from probly.data_generator.toolkit.loaders import SimpleDataLoader
    from probly.data_generator.toolkit.samples import Batch

__all__ = [
    "HOST",
    "AlignmentError",
    "AmbiguousBackendError",
    "BackendError",
    "BackendInfo",
    "BackendNotInstalledError",
    "BackendReport",
    "BaseDataGenerator",
    "Batch",
    "BrokenBackendError",
    "Distributions",
    "FirstOrderDataGenerator",
    "FirstOrderDataset",
    "InvalidOutputError",
    "NotInstalledError",
    "SimpleDataLoader",
    "StoreError",
    "UnknownBackendError",
    "WorkerError",
    "check_backend",
    "create_data_generator",
    "hookimpl",
    "list_backends",
    "list_wrappers",
    "output_dataloader",
]

_HOMES = {
    "discovery.diagnosis": ("BackendReport", "check_backend"),
    "discovery.listing": ("BackendInfo", "list_backends", "list_wrappers"),
    "soft_targets": ("FirstOrderDataset", "output_dataloader"),
    "distributions": ("Distributions",),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "bound_generator": ("BaseDataGenerator", "create_data_generator"),
    "generator": ("FirstOrderDataGenerator",),
    "hookspecs": ("HOST", "hookimpl"),
    "toolkit.loaders": ("SimpleDataLoader",),
    "toolkit.samples": ("Batch",),
}
"""The names of each module."""


def __getattr__(name: str) -> Any:
    """Import a name from its module, once."""
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """Return all names, imported or not."""
    return sorted({*globals(), *__all__})
