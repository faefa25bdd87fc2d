"""The variational parameters of Bayesian layers in Keras models and tf.Modules."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from probly.data_generator.toolkit.posterior import pair_mu_rho
from probly_data_generator_tensorflow.models import is_keras, variables_of


def posterior_tensors(module: Any) -> dict[str, dict[str, Any]]:
    """Return ``{layer: {"mu": ..., "rho": ...}}`` of layers with variables ``*_mu`` and ``*_rho``.

    Args:
        module: The model; its variables are copied, so later training does not change what is returned.

    Raises:
        ValueError: There is no such layer, or two of them have the same name.

    Examples:
        >>> layer = tf.Module()
        >>> layer.weight_mu = tf.Variable([0.0, 0.0])
        >>> layer.weight_rho = tf.Variable([-3.0, -3.0])
        >>> posterior_tensors(layer)["model"]["rho"].numpy()
        array([-3., -3.], dtype=float32)
    """
    found: dict[str, Any] = {}
    for name, variable in _named_variables(module):
        if name in found and name.endswith(("_mu", "_rho")):
            message = f"two variables are called {name!r}; give their layers different names"
            raise ValueError(message)
        found[name] = variable
    return pair_mu_rho((name, tf.identity(tf.convert_to_tensor(variable))) for name, variable in found.items())


def _named_variables(module: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(module, tf.Module) and not is_keras(module):
        # tf.Module names variables by scope; only its own walk knows the attributes that hold them.
        for path, variable in module._flatten(predicate=_is_variable, with_path=True):  # noqa: SLF001
            yield ".".join(map(str, path)), variable
        return
    prefix = f"{getattr(module, 'name', '')}/"
    for variable in variables_of(module):
        path = getattr(variable, "path", variable.name)
        yield path.partition(":")[0].removeprefix(prefix).replace("/", "."), variable


def _is_variable(value: Any) -> bool:
    return isinstance(value, tf.Variable)
