"""The promised import path of what a function for ``progress`` gets."""

from probly.data_generator.run.progress import Progress

__all__ = ["Progress"]
