"""What users may ask of a booster by name, without importing XGBoost."""

from collections.abc import Collection, Mapping
from typing import Any, Final

PROBABILITIES, RAW = "probabilities", "raw"
ALL, BEST = "all", "best"
KNOWN: Final[Mapping[str, Collection[Any]]] = {"scores": (PROBABILITIES, RAW), "rounds": (None, ALL, BEST)}
"""The allowed values of each option, the default first; without one, rounds are those that XGBoost itself would use."""
