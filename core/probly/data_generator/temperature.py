"""The softmax with a temperature, under its promised path."""

from probly.data_generator.run.temperature import Temperature

__all__ = ["Temperature"]
