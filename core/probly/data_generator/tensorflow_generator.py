"""The promised import path of the TensorFlow generator."""

from probly.data_generator.bound_generator import BaseDataGenerator
from probly.data_generator.discovery.listing import explain_missing
from probly.data_generator.generator import FirstOrderDataGenerator as _FirstOrderDataGenerator
from probly.data_generator.toolkit.parts import prepares_batch_inp

try:
    from probly_data_generator_tensorflow.training import FirstOrderDataset, output_dataloader
except ImportError as error:
    raise explain_missing(error, "tensorflow") from error

__all__ = [
    "FirstOrderDataGenerator",
    "FirstOrderDataset",
    "TensorFlowDataGenerator",
    "output_dataloader",
    "prepares_batch_inp",
]


class FirstOrderDataGenerator(_FirstOrderDataGenerator):
    """The generator for TensorFlow and Keras models."""

    backend_name = "tensorflow"


class TensorFlowDataGenerator(BaseDataGenerator):
    """The generator for TensorFlow and Keras models, bound to its dataset."""

    framework = "tensorflow"
