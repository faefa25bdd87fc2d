"""The promised import path of generators that are bound to their dataset."""

from probly.data_generator.bound_generator import BaseDataGenerator, create_data_generator

__all__ = ["BaseDataGenerator", "create_data_generator"]
