"""The promised import path of the store, which is the distribution ``probly-data-generator-store``."""

from probly.data_generator.errors import NotInstalledError
from probly.data_generator.formats.choosing import load, save
from probly.data_generator.installing import install_advice

try:
    from probly_data_generator_store import FORMATS, Store, dataset_card, open_partial, open_store, replacing
except ModuleNotFoundError as error:
    if error.name != "probly_data_generator_store":
        raise
    message = f"the store is not installed; {install_advice('probly-data-generator[store]')}"
    raise NotInstalledError(message) from error

__all__ = ["FORMATS", "Store", "dataset_card", "load", "open_partial", "open_store", "replacing", "save"]
