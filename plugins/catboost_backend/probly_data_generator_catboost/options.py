"""What users may ask of a model by name, without importing CatBoost."""

from collections.abc import Collection, Mapping
from typing import Any, Final

PROBABILITIES, RAW = "probabilities", "raw"
KNOWN: Final[Mapping[str, Collection[Any]]] = {
    "scores": (PROBABILITIES, RAW),
    "members": (False, True),
    "virtual_ensembles": range(1001),
}
"""The allowed values of each option, the default first; 0 virtual ensembles are as many as CatBoost itself makes."""
