"""The variational parameters of Bayesian torch layers."""

from typing import Any

import torch

from probly.data_generator.toolkit.posterior import pair_mu_rho


def posterior_tensors(module: torch.nn.Module | None) -> dict[str, dict[str, Any]]:
    """Return ``{layer: {"mu": ..., "rho": ...}}`` of layers with parameters ``*_mu`` and ``*_rho``.

    Args:
        module: The model; its parameters are copied, so later training does not change what is returned.

    Raises:
        ValueError: There is no such layer.

    Examples:
        >>> layer = torch.nn.Module()
        >>> layer.weight_mu = torch.nn.Parameter(torch.zeros(2))
        >>> layer.weight_rho = torch.nn.Parameter(torch.full((2,), -3.0))
        >>> posterior_tensors(torch.nn.Sequential(layer))["0"]["rho"]
        tensor([-3., -3.])
    """
    named = [] if module is None else module.named_parameters()
    return pair_mu_rho((name, parameter.detach().clone()) for name, parameter in named)
