"""The LightGBM backend of probly.data_generator; its hooks are in ``backend``."""
