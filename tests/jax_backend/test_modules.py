"""flax.nnx, flax.linen and equinox modules: in inference mode on a copy, with the weights that they have now."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from probly.data_generator.testing import reference
from tests.jax_backend.runs import EXPECTED, HOOK, INPUTS, WEIGHTS, check, forward, generator, load, module, put, run


class Norm(nnx.Module):
    def __init__(self):
        self.norm = nnx.BatchNorm(5, rngs=nnx.Rngs(0))
        self.mlp = module()

    def __call__(self, inputs):
        return self.mlp(self.norm(inputs))


def test_nnx_modules_are_left_as_they_were_found():
    model = Norm()
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.RngKey))))
    scaled = INPUTS / np.sqrt(1 + 1e-5)
    check(run(model), reference.softmax(reference.mlp_logits(WEIGHTS, scaled)))
    after = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.RngKey))))
    assert "count" in str(after), "the dropout's random stream must be among what is compared"
    jax.tree.map(np.testing.assert_array_equal, before, after)
    assert (model.norm.use_running_average, model.mlp.dropout.deterministic) == (False, False)


def test_an_eval_that_means_something_else_is_not_called():
    class Evaluates(Norm):
        def eval(self, dataset):
            raise AssertionError("called")

        def train(self, epochs=3):
            raise AssertionError("called")

    scaled = INPUTS / np.sqrt(1 + 1e-5)
    check(run(Evaluates()), reference.softmax(reference.mlp_logits(WEIGHTS, scaled)))


@pytest.mark.parametrize("traced", [True, False])
def test_nothing_of_a_batch_stays_in_a_module(traced):
    class Counting(nnx.Module):
        def __init__(self):
            self.seen = nnx.Variable(jnp.array(0.0))

        def __call__(self, inputs):
            self.seen.set_value(self.seen.get_value() + 1)
            scale = self.seen.get_value()
            return inputs * (scale if traced or float(scale) else 0.0)

    model = Counting()
    if traced:
        distributions = run(model, INPUTS, output_mode="logits")
    else:
        with pytest.warns(UserWarning, match="ConcretizationTypeError"):
            distributions = run(model, INPUTS, output_mode="logits")
    check(distributions, reference.softmax(INPUTS))
    assert float(model.seen.get_value()) == 0.0


def train(model):
    """Put other weights into a module, as an optimizer does, with which all rows are the same."""
    model.second.kernel[...] = jnp.zeros((16, 3))
    model.second.bias[...] = jnp.zeros(3)


def test_the_weights_of_a_module_are_those_that_it_has_when_a_run_begins():
    model = module()
    made = generator(model, output_mode="logits")
    check(made.generate_distributions(INPUTS, progress=False))
    train(model)
    check(made.generate_distributions(INPUTS, progress=False), np.full((50, 3), 1 / 3))
    model = module()
    made = generator(model, output_mode="logits")
    train(model)
    check(made.generate_distributions(INPUTS, progress=False), np.full((50, 3), 1 / 3))


def test_a_loaded_module_says_whether_it_was_trained_since():
    model = module()
    loaded = load(model)
    assert loaded.is_current()
    train(model)
    assert not loaded.is_current()
    assert load(jnp.tanh).is_current(), "a function is traced with what it closes over at its first batch"


def test_a_modules_weights_are_no_constants_of_the_compiled_program():
    class Traced(nnx.Module):
        def __init__(self):
            self.mlp = module()

        def __call__(self, inputs):
            constants.append(not isinstance(self.mlp.second.kernel.get_value(), jax.core.Tracer))
            return self.mlp(inputs)

    constants = []
    check(run(Traced(), INPUTS))
    assert constants == [False]


class EquinoxMLP(eqx.Module):
    first: eqx.nn.Linear
    dropout: eqx.nn.Dropout
    second: eqx.nn.Linear

    def __init__(self):
        self.first = equinox_linear(WEIGHTS.first, WEIGHTS.first_bias)
        self.dropout = eqx.nn.Dropout(0.5)
        self.second = equinox_linear(WEIGHTS.second, WEIGHTS.second_bias)

    def __call__(self, sample, key=None):
        return self.second(self.dropout(jax.nn.relu(self.first(sample)), key=key))


def equinox_linear(weight, bias):
    layer = eqx.nn.Linear(*weight.shape, key=jax.random.key(0))
    return eqx.tree_at(lambda it: (it.weight, it.bias), layer, (jnp.asarray(weight.T), jnp.asarray(bias)))


def test_equinox_modules_are_mapped_over_the_batch():
    model = EquinoxMLP()
    check(run(model))
    assert model.dropout.inference is False
    check(run(eqx.Partial(model, key=None)))


def test_equinox_wrappers_of_functions_are_functions_of_a_batch():
    off = eqx.nn.inference_mode(EquinoxMLP())

    def mlp_of_a_batch(batch):
        return jax.vmap(off)(batch)

    check(run(eqx.filter_jit(EquinoxMLP())))
    check(run(eqx.filter_vmap(off)))
    check(run(eqx.filter_jit(eqx.filter_vmap(EquinoxMLP()))))
    check(run(eqx.filter_jit(mlp_of_a_batch)))


def linen():
    class Linen(nn.Module):
        @nn.compact
        def __call__(self, inputs):
            return nn.Dense(3, name="second")(nn.relu(nn.Dense(16, name="first")(inputs)))

    return Linen()


def test_bound_linen_modules():
    layers = {"first": WEIGHTS[:2], "second": WEIGHTS[2:]}
    params = {name: {"kernel": kernel, "bias": bias} for name, (kernel, bias) in layers.items()}
    check(run(linen().bind({"params": params})))
    with pytest.raises(TypeError, match=r"pass module.bind\(variables\)"):
        generator(linen())


def test_apply_of_a_linen_module_with_its_variables():
    layers = {"first": WEIGHTS[:2], "second": WEIGHTS[2:]}
    params = {name: {"kernel": kernel, "bias": bias} for name, (kernel, bias) in layers.items()}
    check(run(lambda batch: linen().apply({"params": params}, batch)))


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (module(), nnx.Module),
        (nn.Dense(3), None),
        (EquinoxMLP(), eqx.Module),
        (eqx.filter_jit(jnp.tanh), None),
        (type("Transformed", (tuple,), {"__module__": "haiku._src.transform"})(), None),
    ],
)
def test_modules_are_recognized_by_the_most_specific_class_of_their_library(model, kind):
    found = HOOK.recognizes(source=model)
    assert isinstance(model, found)
    assert found.__module__.partition(".")[0] in ("flax", "equinox", "haiku")
    assert kind is None or found.__name__ == kind.__name__


def test_the_digest_of_a_module_is_that_of_its_numbers():
    digests = [HOOK.weight_digest(model=load(model)) for model in (module(), module(), EquinoxMLP())]
    assert digests[0] == digests[1] != digests[2]
    model = module()
    model.second.bias[...] += 1e-6
    assert HOOK.weight_digest(model=load(model)) not in digests


@pytest.mark.parametrize(
    ("model", "channels"),
    [(module(), "last"), (nn.Dense(3).bind({}), "last"), (EquinoxMLP(), "first"), (jnp.tanh, None)],
)
def test_on_which_axis_a_model_expects_the_channels_of_a_picture(model, channels):
    assert load(model).channels == channels


def test_weights_lie_on_the_device():
    model = load(module())
    assert {type(leaf) for leaf in jax.tree.leaves(model.weights)} <= {type(jnp.ones(1)), type(jax.random.key(0))}
    rows = forward(model, put(INPUTS), 50)
    np.testing.assert_allclose(reference.softmax(rows), EXPECTED, rtol=0, atol=1e-6)
