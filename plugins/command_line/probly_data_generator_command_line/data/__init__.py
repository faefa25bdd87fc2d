"""From what ``--data`` names to a dataset: arrays, tables, pictures, saved datasets."""
