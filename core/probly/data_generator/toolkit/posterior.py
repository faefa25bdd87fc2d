"""Pairing the variational parameters of Bayesian layers by their names."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

# A layer's main parameter goes by one of these names; its pair is called plain "mu" and "rho".
MAIN_PARAMETERS = ("weight", "kernel", "")


def pair_mu_rho(parameters: Iterable[tuple[str, Any]]) -> dict[str, dict[str, Any]]:
    """Group parameters named ``<layer>.<parameter>_mu`` and ``<layer>.<parameter>_rho`` by layer.

    The posterior of each parameter is a normal distribution with mean ``mu`` and standard deviation
    ``softplus(rho) = log(1 + exp(rho))`` (Blundell et al., 2015, https://arxiv.org/abs/1505.05424, section 3.2).

    Args:
        parameters: Pairs of a dotted name and an array. Other names are ignored.

    Returns:
        ``{layer: {"mu": ..., "rho": ..., "bias_mu": ..., "bias_rho": ...}}``: the weight (or kernel, or only parameter)
        of a layer is plain ``mu`` and ``rho``, others keep their name. The layer of a bare model is called ``"model"``.

    Raises:
        ValueError: There is no such pair, or one half of a pair is missing.

    Examples:
        >>> pair_mu_rho([("fc.weight_mu", 1.0), ("fc.weight_rho", -3.0), ("fc.scale", 2.0)])
        {'fc': {'mu': 1.0, 'rho': -3.0}}
    """
    halves: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))  # by layer, then parameter
    names = []
    for name, array in parameters:
        names.append(name)
        layer, _, parameter = name.rpartition(".")
        stem, _, half = parameter.rpartition("_")
        if half in ("mu", "rho"):
            halves[layer or "model"][stem][half] = array
    if not halves:
        shown = ", ".join(names[:8]) or "no parameters"
        message = f"the model has no Bayesian layer: expected parameters named *_mu and *_rho, got {shown}"
        raise ValueError(message)
    layers: dict[str, dict[str, Any]] = defaultdict(dict)
    for layer, pairs in halves.items():
        for stem, pair in pairs.items():
            if len(pair) < 2:
                (found,) = pair
                other = "rho" if found == "mu" else "mu"
                message = f"layer {layer!r}: found {stem}_{found} without {stem}_{other}; a posterior needs both"
                raise ValueError(message)
            prefix = "" if stem in MAIN_PARAMETERS or len(pairs) == 1 else f"{stem}_"
            layers[layer].update({f"{prefix}mu": pair["mu"], f"{prefix}rho": pair["rho"]})
    return dict(layers)
