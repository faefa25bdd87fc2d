"""What users may ask of LiteRT by name, without importing it."""

from collections.abc import Collection, Mapping
from typing import Any, Final

THREADS: Final[Mapping[str, Collection[Any]]] = {"threads": range(1024)}
KNOWN: Final[Mapping[str, Collection[Any]]] = {**THREADS, "signature": (), "output": ()}
"""The allowed values of each option, the default first; signatures and outputs are those of a model."""
