"""The programs of this folder run in processes of their own; looking for doctests would import Keras here."""

collect_ignore = ["four_devices.py", "keras_on_jax.py"]
