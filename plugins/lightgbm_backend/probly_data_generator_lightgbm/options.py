"""What users may ask of a booster by name, without importing LightGBM."""

from collections.abc import Collection, Mapping
from typing import Any, Final

PROBABILITIES, RAW = "probabilities", "raw"
KNOWN: Final[Mapping[str, Collection[Any]]] = {"scores": (PROBABILITIES, RAW)}
"""The allowed values of each option, the default first."""
