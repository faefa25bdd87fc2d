"""First-order data: the class distribution p(y|x) of every sample, from any pretrained classifier and any dataset."""

from probly.data_generator.backends import BackendInfo, BackendReport, check_backend, list_backends
from probly.data_generator.dataset import FirstOrderDataset, output_dataloader
from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import (
    AlignmentError,
    AmbiguousBackendError,
    BackendError,
    BackendNotInstalledError,
    BrokenBackendError,
    InvalidOutputError,
    StoreError,
    UnknownBackendError,
)
from probly.data_generator.factory import BaseDataGenerator, create_data_generator
from probly.data_generator.generator import FirstOrderDataGenerator
from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.loaders import SimpleDataLoader
from probly.data_generator.samples import Batch

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
    "SimpleDataLoader",
    "StoreError",
    "UnknownBackendError",
    "check_backend",
    "create_data_generator",
    "hookimpl",
    "list_backends",
    "output_dataloader",
]
