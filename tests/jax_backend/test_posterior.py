"""The variational parameters of flax and equinox modules."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.jax_backend.runs import generator


class BayesNNX(nnx.Module):
    def __init__(self):
        self.weight_mu, self.weight_rho = nnx.Param(jnp.zeros(2)), nnx.Param(jnp.full(2, -3.0))


class BayesEquinox(eqx.Module):
    weight_mu: jax.Array
    weight_rho: jax.Array
    bias_mu: jax.Array
    bias_rho: jax.Array

    def __call__(self, sample):
        return sample


def test_nnx_modules():
    class Nested(nnx.Module):
        def __init__(self):
            self.encoder = nnx.Sequential(BayesNNX(), nnx.Linear(2, 2, rngs=nnx.Rngs(0)))

        def __call__(self, inputs):
            return inputs

    model = Nested()
    found = generator(model).get_posterior_distributions()
    assert list(found) == ["encoder.layers.0"]
    assert isinstance(found["encoder.layers.0"]["mu"], jax.Array)
    np.testing.assert_array_equal(found["encoder.layers.0"]["rho"], np.full(2, -3.0))
    assert found["encoder.layers.0"]["rho"] is not model.encoder.layers[0].weight_rho.get_value()


@pytest.mark.parametrize("wrap", [lambda model: model, eqx.filter_jit])
def test_equinox_modules(wrap):
    arrays = [jnp.full(2, float(number)) for number in range(4)]
    found = generator(wrap(eqx.nn.Sequential([BayesEquinox(*arrays)]))).get_posterior_distributions()
    assert {name: float(array[0]) for name, array in found["layers.0"].items()} == {
        "mu": 0.0, "rho": 1.0, "bias_mu": 2.0, "bias_rho": 3.0
    }  # fmt: skip


def test_linen_modules():
    class Bayes(nn.Module):
        def __call__(self, inputs):
            return inputs

    variables = {"params": {"dense": {"kernel_mu": jnp.zeros(2), "kernel_rho": jnp.ones(2)}}}
    found = generator(Bayes().bind(variables)).get_posterior_distributions()
    assert sorted(found["dense"]) == ["mu", "rho"]


def test_a_function_shows_none():
    with pytest.raises(ValueError, match="no Bayesian layer"):
        generator(jnp.tanh).get_posterior_distributions()
