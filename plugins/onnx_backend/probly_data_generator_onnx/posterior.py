"""The variational parameters of Bayesian layers among the initializers of a model."""

from typing import Any

import numpy as np

from probly.data_generator.toolkit.posterior import pair_mu_rho
from probly_data_generator_onnx.external import tensor_array
from probly_data_generator_onnx.files import Stored


def posterior_arrays(model: Stored | None) -> dict[str, dict[str, Any]]:
    """Return ``{layer: {"mu": ..., "rho": ...}}`` of initializers named ``*_mu`` and ``*_rho``.

    An exporter that folds constants keeps the standard deviation instead of ``rho``; export with
    ``do_constant_folding=False`` then.

    Args:
        model: The stored model; None if the session does not say where it is from.

    Raises:
        ValueError: There is no such layer, or the model cannot be read.
    """
    if model is None:
        message = "the session does not show its weights: pass the path or the bytes of the model instead"
        raise ValueError(message)
    found = {
        # A copy: arrays of a message cannot be written to.
        tensor.name: np.array(tensor_array(tensor, model.folder, model.where))
        if tensor.name.endswith(("mu", "rho"))
        else None
        for tensor in model.read().graph.initializer
    }
    return pair_mu_rho(found.items())
