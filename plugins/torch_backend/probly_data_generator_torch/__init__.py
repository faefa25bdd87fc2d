"""The PyTorch backend of probly.data_generator; its hooks are in ``backend``, what users import in ``training``."""
