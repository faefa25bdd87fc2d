"""What users may ask of scikit-learn's classifiers by name, without importing it."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from probly.data_generator.toolkit.trust import TRUST_OPTION

PROBABILITIES, DECISIONS = "predict_proba", "decision_function"
KNOWN: Final[Mapping[str, Collection[Any]]] = {
    "scores": (PROBABILITIES, DECISIONS),
    "members": (False, True),
    **TRUST_OPTION,
}
"""The allowed values of each option, the default first."""
