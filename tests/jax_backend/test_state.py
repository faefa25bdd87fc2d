"""Modules of JAX that keep a state: every batch begins with the one that was found, which is not touched."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.errors import ModifyScopeVariableError

from probly.data_generator import FirstOrderDataGenerator

INPUTS = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)


def run(model):
    generator = FirstOrderDataGenerator(model, batch_size=4, output_mode="logits", backend="jax")
    return generator.generate_distributions(INPUTS, progress=False).probabilities


def rows_of(call):
    """Return the rows of batches that all begin with the same state."""
    return np.concatenate([jax.nn.softmax(call(INPUTS[start : start + 4])) for start in (0, 4, 8)])


class Recurrent(nnx.Module):
    def __init__(self):
        self.hidden = nnx.Variable(jnp.ones(3))

    def __call__(self, inputs):
        self.hidden.set_value(0.5 * self.hidden.get_value() + jnp.arange(3.0))
        return inputs + self.hidden.get_value()


def test_an_nnx_module():
    model = Recurrent()
    rows = [run(model), run(model)]
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_allclose(rows[0], rows_of(lambda batch: batch + 0.5 + jnp.arange(3.0)), atol=1e-6)
    np.testing.assert_array_equal(model.hidden.get_value(), jnp.ones(3))


class Cached(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        hidden = self.variable("cache", "hidden", lambda: jnp.ones(3))
        hidden.value = 0.5 * hidden.value + jnp.arange(3.0)
        return nn.Dense(3)(inputs) + hidden.value


def test_a_linen_module_is_bound_with_the_collections_that_it_writes_to():
    module = Cached()
    variables = module.init(jax.random.key(0), INPUTS[:4])
    with pytest.raises(ModifyScopeVariableError) as caught:
        run(module.bind(variables))
    assert "module.bind(variables, mutable=[...])" in "".join(caught.value.__notes__)
    bound = module.bind(variables, mutable=["cache"])
    rows = [run(bound), run(bound)]
    np.testing.assert_array_equal(rows[0], rows[1])
    expected = rows_of(lambda batch: module.apply(variables, batch, mutable=["cache"])[0])
    np.testing.assert_allclose(rows[0], expected, atol=1e-6)


class Normed(eqx.Module):
    linear: eqx.nn.Linear
    norm: eqx.nn.BatchNorm

    def __init__(self, key):
        self.linear = eqx.nn.Linear(3, 3, key=key)
        self.norm = eqx.nn.BatchNorm(3, "batch", mode="ema")

    def __call__(self, sample, state):
        sample, state = self.norm(sample, state)
        return self.linear(sample), state


def test_an_equinox_model_is_given_with_its_state():
    model, state = eqx.nn.make_with_state(Normed)(jax.random.key(0))
    with pytest.raises(
        TypeError, match=r"Normed keeps its state in an equinox.nn.State.*Partial\(model, state=state\)"
    ):
        run(model)
    given = eqx.Partial(model, state=state)
    rows = [run(given), run(given)]
    np.testing.assert_array_equal(rows[0], rows[1])
    called = jax.vmap(eqx.nn.inference_mode(model), in_axes=(0, None), out_axes=(0, None), axis_name="batch")
    np.testing.assert_allclose(rows[0], rows_of(lambda batch: called(batch, state)[0]), atol=1e-6)
