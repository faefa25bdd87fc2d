"""The promised import path of the framework-agnostic generator."""

from probly.data_generator.generator import FirstOrderDataGenerator as _FirstOrderDataGenerator
from probly.data_generator.soft_targets import FirstOrderDataset, output_dataloader
from probly.data_generator.toolkit.loaders import SimpleDataLoader
from probly.data_generator.toolkit.parts import prepares_batch_inp

__all__ = [
    "FirstOrderDataGenerator",
    "FirstOrderDataset",
    "SimpleDataLoader",
    "output_dataloader",
    "prepares_batch_inp",
]


class FirstOrderDataGenerator(_FirstOrderDataGenerator):
    """The generator for any callable, pure Python or NumPy, and any object with ``predict_proba``."""

    backend_name = "numpy"
