"""What changes a model of jax, flax or equinox: each change is refused by a store, what changes nothing is not."""

import functools

import equinox as eqx
import jax
import jax.export
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from probly.data_generator import StoreError
from probly_data_generator_jax.digest import digest_of_model
from tests.jax_backend.runs import INPUTS, generator

SIZE = INPUTS.shape[1]


def stream(model, path, **options):
    """Return the distributions of one run that streams to a store."""
    made = generator(model, backend="jax", output_mode="logits", **options)
    return made.generate_distributions(INPUTS, progress=False, out=path)


class Nnx(nnx.Module):
    def __init__(self, temperature=1.0, activation=nnx.relu, shift=0.0, bias=0.0, key=7):
        self.layers = nnx.List([nnx.Linear(SIZE, 3, rngs=nnx.Rngs(0))])
        self.layers[0].bias[...] = jnp.full(3, bias)
        self.norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
        self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(key))
        self.shift = nnx.BatchStat(jnp.full(3, shift))
        self.temperature, self.activation = temperature, activation

    def __call__(self, rows):
        scores = self.drop(self.norm(self.layers[0](rows))) + self.shift[...]
        return self.activation(scores) / self.temperature


class Linen(linen.Module):
    temperature: float = 1.0
    activation: object = linen.relu

    @linen.compact
    def __call__(self, rows):
        return self.activation(linen.Dense(3)(rows)) / self.temperature


def bound(seed=0, **settings):
    made = Linen(**settings)
    return made.bind(made.init(jax.random.key(seed), INPUTS[:1]))


class Equinox(eqx.Module):
    layers: list
    temperature: float
    activation: object = eqx.field(static=True)
    scale: int = eqx.field(static=True)
    drop: eqx.nn.Dropout

    def __init__(self, temperature=1.0, activation=jax.nn.relu, scale=1, seed=0):
        self.layers = [eqx.nn.Linear(SIZE, 3, key=jax.random.key(seed))]
        self.temperature, self.activation, self.scale = temperature, activation, scale
        self.drop = eqx.nn.Dropout(0.5)

    def __call__(self, row):
        return self.activation(self.layers[0](row)) * self.scale / self.temperature


def function(weight=1.0, by=2.0, *, jit=False):
    params = {"dense": {"kernel": jnp.full((SIZE, 3), weight), "bias": jnp.arange(3.0)}}

    def model(rows):
        return (rows @ params["dense"]["kernel"] + params["dense"]["bias"]) * by

    return jax.jit(model) if jit else model


def apply(params, rows, by=1.0):
    return rows @ params["w"] * by


def partial(weight=1.0, by=1.0):
    return functools.partial(jax.jit(apply), {"w": jnp.full((SIZE, 3), weight).at[0, 0].set(3)}, by=by)


def exported(weight=1.0, by=2.0):
    """Return a program as it is when it comes from a file."""
    stored = jax.export.export(function(weight, by, jit=True))(jax.ShapeDtypeStruct((25, SIZE), jnp.float32))
    return jax.export.deserialize(stored.serialize()).call


CHANGES = {
    "nnx": (Nnx, [
        {"temperature": 2.0}, {"activation": nnx.tanh}, {"shift": 1.0}, {"bias": 0.5},
    ]),
    "linen": (bound, [{"seed": 1}, {"temperature": 2.0}, {"activation": linen.tanh}]),
    "equinox": (Equinox, [{"seed": 1}, {"temperature": 2.0}, {"activation": jnp.tanh}, {"scale": 2}]),
    "a function": (function, [{"weight": 2.0}, {"by": 3.0}]),
    "a function of jax.jit": (functools.partial(function, jit=True), [{"weight": 2.0}, {"by": 3.0}]),
    "a partial": (partial, [{"weight": 2.0}, {"by": 2.0}]),
    "an exported program": (exported, [{"weight": 2.0}, {"by": 3.0}]),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_model_is_refused(tmp_path, kind):
    make, changes = CHANGES[kind]
    options = {"batch_size": 25} if kind == "an exported program" else {}
    for _ in range(2):
        stream(make(), tmp_path / "a.fod", **options)
    for change in changes:
        with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
            stream(make(**change), tmp_path / "a.fod", **options)


def test_modes_keys_and_places_change_nothing():
    model = Nnx()
    first = digest_of_model(model)
    model.eval()
    assert digest_of_model(model) == first
    assert digest_of_model(Nnx(key=99)) == first
    assert digest_of_model(eqx.nn.inference_mode(Equinox())) == digest_of_model(Equinox())


def test_a_compiled_program_cannot_be_seen_but_is_probed(tmp_path):
    def program(by):
        return function(by=by, jit=True).lower(jax.ShapeDtypeStruct((25, SIZE), jnp.float32)).compile()

    assert digest_of_model(program(2.0)) == "not seen"
    for _ in range(2):
        with pytest.warns(UserWarning, match="what the model learned cannot be seen"):
            stream(program(2.0), tmp_path / "a.fod", batch_size=25)
    with pytest.warns(UserWarning, match="cannot be seen"), pytest.raises(StoreError, match="has changed"):
        stream(program(2.5), tmp_path / "a.fod", batch_size=25)
