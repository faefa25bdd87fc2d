"""Hidden layers of modules beside the rows: what the modules themselves return."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from probly.data_generator.jax_first_order_generator import FirstOrderDataGenerator
from tests.jax_backend.runs import INPUTS, WEIGHTS, check, logits, module

HIDDEN = INPUTS @ WEIGHTS.first + WEIGHTS.first_bias


def run(model, *keep, inputs=INPUTS, **options):
    generator = FirstOrderDataGenerator(model, **{"batch_size": 16, **options})
    return generator.generate_distributions(inputs, progress=False, keep=[f"features:{name}" for name in keep])


class Block(nn.Module):
    """The first layer of the MLP, one level down."""

    @nn.compact
    def __call__(self, inputs):
        return jax.nn.relu(nn.Dense(16, name="dense")(inputs))


class Linen(nn.Module):
    """The MLP in linen."""

    block: type = Block

    @nn.compact
    def __call__(self, inputs):
        return nn.Dense(3, name="last")(self.block(name="block")(inputs))


def linen(block=Block):
    first = {"kernel": WEIGHTS.first, "bias": WEIGHTS.first_bias}
    last = {"kernel": WEIGHTS.second, "bias": WEIGHTS.second_bias}
    return Linen(block).bind({"params": {"block": {"dense": first}, "last": last}})


def equinox():
    model = eqx.nn.MLP(5, 3, 16, 1, key=jax.random.key(0))
    parts = (WEIGHTS.first.T, WEIGHTS.first_bias, WEIGHTS.second.T, WEIGHTS.second_bias)

    def arrays(model):
        return [part for layer in model.layers for part in (layer.weight, layer.bias)]

    return eqx.tree_at(arrays, model, list(map(jnp.asarray, parts)))


MODELS = {"nnx": (module, "first"), "linen": (linen, "block.dense"), "equinox": (equinox, "layers.0")}


@pytest.mark.parametrize("kind", MODELS)
def test_layers_are_what_the_modules_compute(kind):
    make, name = MODELS[kind]
    model = make()
    found = run(model, name)
    check(found)
    np.testing.assert_allclose(found.columns[f"features:{name}"], HIDDEN, rtol=1e-5, atol=1e-5)
    check(run(model))


def test_a_transform_gets_the_models_own_outputs():
    found = run(module(), "first", output_transform=jax.nn.softmax)
    check(found)
    np.testing.assert_allclose(found.columns["features:first"], HIDDEN, rtol=1e-5, atol=1e-5)


def test_a_model_that_runs_uncompiled_shows_its_layers():
    with jax.disable_jit():
        found = run(module(), "first")
    np.testing.assert_allclose(found.columns["features:first"], HIDDEN, rtol=1e-5, atol=1e-5)


def test_members_have_their_layers():
    model = module()
    found = run(model, "first", "dropout", passes=2)
    hidden, dropped = found.columns["features:first"], found.columns["features:dropout"]
    np.testing.assert_allclose(hidden, np.stack([HIDDEN, HIDDEN], axis=1), rtol=1e-5, atol=1e-5)
    kept = np.maximum(hidden, 0) * 2
    assert ((dropped == 0) | np.isclose(dropped, kept, rtol=1e-6)).all()
    expected = jax.nn.softmax(dropped @ WEIGHTS.second + WEIGHTS.second_bias)
    np.testing.assert_allclose(found.members, expected, atol=1e-6)


# What is refused


class Twice(nnx.Module):
    def __init__(self):
        self.first, self.last = nnx.Linear(5, 3, rngs=nnx.Rngs(0)), nnx.Linear(3, 3, rngs=nnx.Rngs(1))

    def __call__(self, inputs):
        return self.first(inputs) + self.first(-inputs)


class Inside(Twice):
    def __call__(self, inputs):
        return self.last(jax.vmap(self.first)(inputs))


class Several(eqx.Module):
    first: eqx.nn.LSTMCell

    def __call__(self, sample):
        return self.first(sample, (jnp.zeros(3), jnp.zeros(3)))[0]


def cell():
    return Several(eqx.nn.LSTMCell(5, 3, key=jax.random.key(0)))


@pytest.mark.parametrize(
    ("make", "layer", "message"),
    [
        (module, "third", "the model has no layer 'third'; it has 'dropout', 'first', 'second'"),
        (equinox, "layers", "the model has no layer 'layers'; it has 'layers.0', 'layers.1'"),
        (linen, "dense", "the model has no layer 'dense'; it has 'block', 'block.dense', 'last'"),
        (Twice, "first", "the layer 'first' is called 2 times per batch; keep one that is called once"),
        (Twice, "last", "the layer 'last' is called 0 times per batch, or within another transformation"),
        (Inside, "first", "the layer 'first' runs within another transformation .*; keep the one around it"),
        (lambda: linen(nn.remat(Block)), "block.dense", "runs within another transformation|is called 0 times"),
        (cell, "first", "the layer 'first' returns tuple of 2, not one array"),
        (lambda: logits, "first", "keep: a function shows no layers; pass the module itself"),
    ],
)
def test_layers_that_cannot_be_had_are_refused(make, layer, message):
    with pytest.raises(ValueError, match=message):
        run(make(), layer, output_mode="logits")
