"""The promised import path of the PyTorch generator."""

from typing import Any

from probly.data_generator.bound_generator import BaseDataGenerator
from probly.data_generator.discovery.listing import explain_missing
from probly.data_generator.generator import FirstOrderDataGenerator as _FirstOrderDataGenerator
from probly.data_generator.toolkit.parts import Getter, split_sample

try:
    from probly_data_generator_torch.arrays import PAIRS
    from probly_data_generator_torch.losses import sparse_kl_div
    from probly_data_generator_torch.pt_format import load_distributions_pt, save_distributions_pt
    from probly_data_generator_torch.training import FirstOrderDataset, output_dataloader
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
    "sparse_kl_div",
]


def prepares_batch_inp(sample: Any, input_getter: Getter | None = None) -> Any:
    """Return the model's input of a sample or a batch; lists hold an input and a label, as tuples do.

    Examples:
        >>> prepares_batch_inp(["image", 3])
        'image'
    """
    return split_sample(sample, input_getter, PAIRS)[0]


class FirstOrderDataGenerator(_FirstOrderDataGenerator):
    """The generator for PyTorch models."""

    backend_name = "pytorch"
    pairs = PAIRS


class PyTorchDataGenerator(BaseDataGenerator):
    """The generator for PyTorch models, bound to its dataset."""

    framework = "pytorch"
