"""The CatBoost backend of probly.data_generator; its hooks are in ``backend``."""
