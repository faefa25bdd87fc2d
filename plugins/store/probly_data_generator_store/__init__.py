"""The store of ``probly.data_generator``: a folder that rows are written to as they come, and single-file formats.

Used by its promised path, ``probly.data_generator.store``; the formats are found by their entry points.
"""

from probly_data_generator_store import replacing
from probly_data_generator_store.dataset_card import dataset_card
from probly_data_generator_store.installed import InstalledFormats
from probly_data_generator_store.reader import Store, open_partial, open_store

__all__ = ["FORMATS", "Store", "dataset_card", "open_partial", "open_store", "replacing"]

FORMATS = InstalledFormats()
"""The format of each suffix, whoever provides it; imported when it is asked for."""
