"""The variational parameters of Bayesian estimators."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from probly.data_generator.toolkit.posterior import pair_mu_rho


def posterior_arrays(source: Any) -> dict[str, dict[str, Any]]:
    """Return ``{layer: {"mu": ..., "rho": ...}}`` of the fitted attributes ``*_mu_`` and ``*_rho_``, as copies.

    scikit-learn has no such estimator, but others may write one. The layer is the pipeline's step, or ``"model"``.

    Raises:
        ValueError: There is no such attribute.

    Examples:
        >>> from types import SimpleNamespace
        >>> posterior_arrays(SimpleNamespace(coef_mu_=np.zeros(2), coef_rho_=np.ones(2)))["model"]["rho"]
        array([1., 1.])
    """
    try:
        layers = pair_mu_rho(_parameters(source))
    except ValueError as error:
        if "no Bayesian layer" in str(error):
            error.add_note(
                "the members of a forest, a bagging, voting or calibrated ensemble are samples, too: see "
                "probly_data_generator_sklearn.members.member_distributions(estimator, inputs)"
            )
        raise
    return {layer: {name: np.array(value) for name, value in pair.items()} for layer, pair in layers.items()}


def _parameters(source: Any) -> Iterator[tuple[str, Any]]:
    for step, part in getattr(source, "steps", [("", source)]):
        for name, value in getattr(part, "__dict__", {}).items():
            parameter = name.rstrip("_")
            yield (f"{step}.{parameter}" if step else parameter), value
