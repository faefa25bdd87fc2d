"""The promised import path of the PyTorch generator."""

from probly.data_generator.backends import explain_missing
from probly.data_generator.factory import BaseDataGenerator
from probly.data_generator.generator import FirstOrderDataGenerator as _FirstOrderDataGenerator
from probly.data_generator.samples import prepares_batch_inp

try:
    from probly_data_generator_torch.dataset import FirstOrderDataset, output_dataloader
    from probly_data_generator_torch.saving import load_distributions_pt, save_distributions_pt
except ImportError as error:
    raise explain_missing(error, "torch") from error

__all__ = [
    "FirstOrderDataGenerator",
    "FirstOrderDataset",
    "PyTorchDataGenerator",
    "load_distributions_pt",
    "output_dataloader",
    "prepares_batch_inp",
    "save_distributions_pt",
]


class FirstOrderDataGenerator(_FirstOrderDataGenerator):
    """The generator for PyTorch models."""

    backend_name = "pytorch"


class PyTorchDataGenerator(BaseDataGenerator):
    """The generator for PyTorch models, bound to its dataset."""

    framework = "pytorch"
