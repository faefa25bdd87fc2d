"""The promised import path of the JAX generator."""

from probly.data_generator.bound_generator import BaseDataGenerator
from probly.data_generator.discovery.listing import explain_missing
from probly.data_generator.generator import FirstOrderDataGenerator as _FirstOrderDataGenerator
from probly.data_generator.toolkit.parts import prepares_batch_inp

try:
    from probly_data_generator_jax.training import FirstOrderDataset, JaxDataLoader, output_dataloader
except ImportError as error:
    raise explain_missing(error, "jax") from error

__all__ = [
    "FirstOrderDataGenerator",
    "FirstOrderDataset",
    "JAXDataGenerator",
    "JaxDataLoader",
    "output_dataloader",
    "prepares_batch_inp",
]


class FirstOrderDataGenerator(_FirstOrderDataGenerator):
    """The generator for JAX models."""

    backend_name = "jax"


class JAXDataGenerator(BaseDataGenerator):
    """The generator for JAX models, bound to its dataset."""

    framework = "jax"
