"""What tells the weights of one model from those of another."""

from typing import Any

import jax
import numpy as np

from probly.data_generator.toolkit.digest import digest
from probly_data_generator_jax.arrays import is_number


def digest_weights(weights: Any) -> str:
    """Return the digest of all numbers in a pytree by their paths, or an empty string where there are none.

    Random keys are left out: inference draws nothing.

    Examples:
        >>> digest_weights({"bias": np.zeros(2)}) == digest_weights({"bias": np.ones(2)}), digest_weights(())
        (False, '')
    """
    leaves = jax.tree_util.tree_leaves_with_path(weights)
    found = ((path, leaf) for path, leaf in leaves if hasattr(leaf, "dtype") and is_number(leaf.dtype))
    numbers = [(str(path), np.asarray(leaf)) for path, leaf in found]
    return digest(numbers) if numbers else ""
