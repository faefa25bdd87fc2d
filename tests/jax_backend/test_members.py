"""Members of models on JAX: passes with what is random active and all else in inference mode."""

import random

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from probly.data_generator import InvalidOutputError
from probly.data_generator.jax_first_order_generator import FirstOrderDataGenerator
from probly.data_generator.run.passes import Passes
from tests.jax_backend.runs import INPUTS, logits

MEAN, VARIANCE = 0.25, 4.0


def run(model, inputs=INPUTS, *, keep=(), **options):
    generator = FirstOrderDataGenerator(model, **{"batch_size": 16, "output_mode": "logits", **options})
    return generator.generate_distributions(inputs, progress=False, keep=keep)


class Nnx(nnx.Module):
    """Drops, normalises, drops again, and answers."""

    def __init__(self, rate=0.25):
        rngs = nnx.Rngs(0)
        self.first, self.second = nnx.Dropout(rate, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.norm = nnx.BatchNorm(5, rngs=rngs, epsilon=0.0)
        self.norm.mean[...], self.norm.var[...] = jnp.full(5, MEAN), jnp.full(5, VARIANCE)
        self.last = nnx.Linear(5, 3, use_bias=False, rngs=rngs)

    def __call__(self, inputs):
        return self.last(self.second(self.norm(self.first(inputs))))


class Explicit(Nnx):
    """Says to each layer by hand what it is to do."""

    def __call__(self, inputs, *, deterministic=True):
        hidden = self.norm(self.first(inputs, deterministic=deterministic), use_running_average=deterministic)
        return self.last(self.second(hidden, deterministic=deterministic))


class Linen(nn.Module):
    """Likewise, in the way of linen."""

    @nn.compact
    def __call__(self, inputs, train=False):
        hidden = nn.Dropout(0.25, name="first", deterministic=not train)(inputs)
        hidden = nn.BatchNorm(name="norm", use_running_average=not train, epsilon=0.0)(hidden)
        return nn.Dense(3, use_bias=False, name="last")(nn.Dropout(0.5)(hidden, deterministic=not train))


def linen(module=None):
    module = module or Linen()
    variables = module.init(jax.random.key(0), jnp.ones((1, 5)))
    if "batch_stats" in variables:
        stats = {"mean": jnp.full(5, MEAN), "var": jnp.full(5, VARIANCE)}
        variables = {**variables, "batch_stats": {"norm": stats}}
    return module.bind(variables)


class Eqx(eqx.Module):
    """Likewise, in the way of equinox."""

    first: eqx.nn.Dropout
    norm: eqx.nn.BatchNorm
    second: eqx.nn.Dropout
    last: eqx.nn.Linear

    def __init__(self):
        self.first, self.second = eqx.nn.Dropout(0.25), eqx.nn.Dropout(0.5)
        self.norm = eqx.nn.BatchNorm(5, axis_name="batch", eps=0.0, mode="ema", channelwise_affine=False)
        self.last = eqx.nn.Linear(5, 3, use_bias=False, key=jax.random.key(1))

    def __call__(self, sample, state, *, key=None):
        keys = (None, None) if key is None else jax.random.split(key)
        hidden, state = self.norm(self.first(sample, key=keys[0]), state)
        return self.last(self.second(hidden, key=keys[1])), state


def equinox():
    model, state = eqx.nn.make_with_state(Eqx)()
    learned = tuple(jnp.full(5, value, jnp.float32) for value in (MEAN, VARIANCE))
    return eqx.Partial(model, state=state.set(model.norm.ema_state_index, learned))


def function(inputs, key=None):
    kept = inputs if key is None else inputs * jax.random.bernoulli(key, 0.5, inputs.shape) * 2
    return logits(kept)


def first_argument(rng, inputs):
    return function(inputs, rng)


NORMED = {"nnx": Explicit, "linen": linen, "equinox": equinox}
MODELS = {
    **NORMED,
    "nnx without arguments": Nnx,
    "function": lambda: function,
    "jitted": lambda: jax.jit(function),
    "first argument": lambda: first_argument,
}


def arrays(model):
    if isinstance(model, nnx.Module):
        leaves = jax.tree.leaves(nnx.state(model))
    else:
        leaves = jax.tree.leaves(model.variables if isinstance(model, nn.Module) else eqx.filter(model, eqx.is_array))
    return [jax.random.key_data(one) if jnp.issubdtype(one.dtype, jax.dtypes.prng_key) else one for one in leaves]


@pytest.mark.parametrize("kind", MODELS)
def test_passes_differ_and_two_runs_with_one_seed_agree_bit_for_bit(kind):
    model = MODELS[kind]()
    first = run(model, passes=4, seed=3).members
    np.testing.assert_array_equal(run(MODELS[kind](), passes=4, seed=3).members, first)
    assert len(np.unique(first[0, :, 0])) == 4
    assert len(np.unique(first[:, :, 0])) > 150, "each row has a mask of its own"


def test_a_pass_depends_on_its_seed_and_its_first_row_alone():
    first = run(function, passes=4, seed=3).members
    np.testing.assert_array_equal(run(function, INPUTS[:32], passes=2, seed=3).members, first[:32, :2])
    assert not np.array_equal(run(function, passes=4, seed=4).members, first)


@pytest.mark.parametrize("kind", NORMED)
def test_nothing_of_the_model_or_of_anybodys_random_state_changes(kind):
    model = NORMED[kind]()
    before, plain = arrays(model), run(model).probabilities
    np.random.seed(3), random.seed(3)  # noqa: NPY002  # the states that are not to change
    run(model, passes=3)
    assert random.random() == random.Random(3).random()
    assert np.random.random() == np.random.RandomState(3).random()  # noqa: NPY002
    for value, now in zip(before, arrays(model), strict=True):
        np.testing.assert_array_equal(value, now)
    np.testing.assert_array_equal(run(model).probabilities, plain)
    if isinstance(model, nnx.Module):
        assert (model.first.deterministic, model.norm.use_running_average) == (False, False)
        assert type(model.norm) is nnx.BatchNorm


@pytest.mark.parametrize("kind", NORMED)
def test_dropout_drops_at_its_rate_and_all_else_is_as_in_inference(kind):
    model = NORMED[kind]()
    inner = "func." if kind == "equinox" else ""
    norm = f"{inner}norm"
    keep = [f"features:{inner}first"] + ([] if kind == "equinox" else [f"features:{norm}"])  # returns a state, too
    found = run(model, np.ones((40, 5), np.float32), passes=50, keep=keep)
    dropped = found.columns[f"features:{inner}first"]
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    share = (dropped == 0).mean()
    assert abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / dropped.size)
    if kind != "equinox":
        expected = (dropped - MEAN) / np.sqrt(VARIANCE)
        np.testing.assert_allclose(found.columns[f"features:{norm}"], expected, rtol=1e-5)


def test_equinox_normalises_with_what_it_has_learned():
    model = equinox()
    kernel = np.asarray(model.func.last.weight).T
    drawn = run(model, np.zeros((1000, 5), np.float32), passes=4, batch_size=1000, keep=["logits"]).columns["logits"]
    mean = np.full(5, (0 - MEAN) / np.sqrt(VARIANCE))
    error = np.sqrt((mean**2 @ kernel**2) / 4000)
    assert (abs(drawn.mean(axis=(0, 1)) - mean @ kernel) < 5 * error).all()


def test_a_linear_model_after_dropout_has_its_mean_and_variance():
    model = nnx.Sequential(nnx.Dropout(0.4, rngs=nnx.Rngs(0)), nnx.Linear(5, 3, use_bias=False, rngs=nnx.Rngs(1)))
    inputs = np.repeat(INPUTS[:4], 250, axis=0)
    drawn = run(model, inputs, passes=8, batch_size=1000, keep=["logits"]).columns["logits"].reshape(4, 2000, 3)
    kernel = np.asarray(model.layers[1].kernel[...])
    variance = (INPUTS[:4] ** 2) @ kernel**2 * 0.4 / 0.6
    assert (abs(drawn.mean(axis=1) - INPUTS[:4] @ kernel) < 5 * np.sqrt(variance / 2000)).all()
    np.testing.assert_allclose(drawn.var(axis=1), variance, rtol=0.25)


def test_a_function_gets_the_key_of_its_seed():
    found = run(function, INPUTS[:16], passes=2, seed=5).members
    for number in range(2):
        expected = jax.nn.softmax(function(INPUTS[:16], jax.random.key(Passes(2, 5).seed_of(number, 0))))
        np.testing.assert_allclose(found[:, number], expected, atol=1e-6)


def test_one_program_serves_all_seeds():
    traced = []

    def model(inputs, key):
        traced.append(inputs.shape)
        return function(inputs, key)

    run(model, passes=5)
    assert traced == [(16, 5)]


class Attention(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        options = {"dropout_rate": 0.5, "decode": False, "rngs": rngs}
        self.attention, self.last = nnx.MultiHeadAttention(2, 1, 4, **options), nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, inputs):
        return self.last(self.attention(inputs[..., None])[..., 0])


class Blocks(nn.Module):
    """Layers in the fields of others, one that the user wrote, and a key of another collection."""

    inner: nn.Module

    @nn.compact
    def __call__(self, inputs):
        return Noise()(nn.remat(nn.Dense)(3)(self.inner(inputs)))


class Noise(nn.Module):
    deterministic: bool = True

    @nn.compact
    def __call__(self, inputs):
        key = None if self.deterministic else self.make_rng("noise")
        return inputs if key is None else inputs + jax.random.normal(key, inputs.shape)


class DropPath(nn.Module):
    """Drops as many users write it; nobody but its own code says that it does."""

    @nn.compact
    def __call__(self, inputs, train=False):
        return inputs * jax.random.bernoulli(self.make_rng("path"), 0.5, inputs.shape) if train else inputs


class OwnDropout(nnx.Module):
    """Likewise, in the way of nnx."""

    def __init__(self):
        self.rngs = nnx.Rngs(0)

    def __call__(self, inputs, training=False):
        return inputs * jax.random.bernoulli(self.rngs(), 0.5, inputs.shape) if training else inputs


class Looped(nnx.Module):
    """Runs its layers by transformations of flax's own."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.dropout, self.last = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, inputs):
        return nnx.remat(lambda model, inputs: model.last(model.dropout(inputs)))(self, inputs)


@pytest.mark.parametrize(
    "make",
    [
        Attention,
        Looped,
        lambda: linen(Blocks(nn.Sequential([nn.Dropout(0.5, deterministic=True), nn.Dense(4)]))),
        lambda: linen(Blocks(nn.Dense(4))),
        lambda: linen(DropPath()),
        OwnDropout,
        lambda: eqx.nn.Sequential([eqx.nn.Dropout(0.5), eqx.nn.Linear(5, 3, key=jax.random.key(0))]),
        lambda: eqx.filter_jit(eqx.nn.Dropout(0.5)),
    ],
)
def test_models_of_many_kinds(make):
    first, again = (run(make(), passes=3, seed=1).members for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first[0, :, 0])) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: logits, "no argument called key or rng, .*; give it one, or let the model return its members"),
        (lambda: jax.jit(logits), "no argument called key or rng"),
        (lambda: lambda inputs, *, seed=0: inputs, "no argument called key or rng"),
    ],
)
def test_functions_without_a_key_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        run(make(), passes=2)


def test_what_the_user_maps_over_the_batch_is_refused():
    with pytest.raises(ValueError, match="filter_vmap takes no key; pass the module itself, which is mapped over"):
        run(eqx.filter_vmap(eqx.nn.Dropout(0.5)), passes=2)


@pytest.mark.parametrize("model", [nnx.Linear(5, 3, rngs=nnx.Rngs(0)), linen(nn.Dense(3))])
def test_models_that_draw_nothing_are_refused(model):
    with pytest.raises(InvalidOutputError, match="all 2 passes gave the same scores"):
        run(model, passes=2)


def test_dropout_without_keys_is_refused_in_the_words_of_flax():
    model = nnx.Sequential(nnx.Dropout(0.5), nnx.Linear(5, 3, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="no `rngs` argument was provided to Dropout"):
        run(model, passes=2)
