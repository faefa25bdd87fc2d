"""Functions as models: their transformations, what they close over, and what they are given."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probly.data_generator.testing import reference
from tests.jax_backend.runs import EXPECTED, FIRST, HOOK, INPUTS, check, generator, load, logits, run, softmax_of


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.vmap, lambda f: jax.jit(jax.vmap(f)), jax.checkpoint])
def test_functions_and_their_transformations(wrap):
    check(run(wrap(logits)))


def test_a_function_compiled_ahead_of_time_gets_full_batches():
    compiled = jax.jit(logits).lower(jax.ShapeDtypeStruct((16, 5), jnp.float32)).compile()
    check(run(compiled, output_mode="logits"))


@pytest.mark.parametrize("make", [functools.partial, jax.tree_util.Partial])
def test_partial_functions(make):
    check(run(make(lambda params, batch: logits(batch) * params["scale"], {"scale": jnp.ones(3)}), backend="jax"))


def test_a_function_that_donates_its_inputs_leaves_the_callers_arrays_in_host_memory_alone():
    inputs = jnp.asarray(INPUTS[:, :3])
    check(run(jax.jit(lambda batch: batch * 2, donate_argnums=0), inputs), reference.softmax(2 * np.asarray(inputs)))
    np.testing.assert_array_equal(inputs, INPUTS[:, :3])


@pytest.mark.parametrize(
    "wrap", [lambda jitted: jitted, lambda jitted: lambda batch: float(batch[0, 0]) * jitted(batch)]
)
def test_a_function_that_donates_its_inputs_leaves_the_batches_of_a_loader_alone(wrap):
    """Those that are on the device already; the second function cannot be traced, so it runs as it is."""
    loaded = [jnp.ones((4, 3)), jnp.full((4, 3), 2.0)]
    model = wrap(jax.jit(lambda batch: batch * jnp.arange(3.0), donate_argnums=0))
    made = generator(model, batched=True, output_mode="logits", backend="jax")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "jax.jit cannot trace the model")
        first = made.generate_distributions(loaded, progress=False)
        assert made.generate_distributions(loaded, progress=False) == first
    assert not any(batch.is_deleted() for batch in loaded)


def test_to_probs_says_where_it_can_be_called():
    made = generator(jnp.tanh, output_mode="logits", backend="jax")
    with pytest.raises(
        TypeError, match=r"rows are made on the host, which jax.jit cannot trace: call to_probs outside"
    ):
        jax.jit(made.to_probs)(jnp.ones((2, 3)))


def test_a_model_named_by_module_and_attribute():
    check(run("jax.nn:softmax", INPUTS, output_mode="probs"), reference.softmax(INPUTS))


@pytest.mark.parametrize(
    ("source", "error"), [(3, TypeError), ("weights.msgpack", ValueError), ("jax:no", ImportError)]
)
def test_what_is_no_model_is_refused(source, error):
    with pytest.raises(error, match=r"expected|has no attribute"):
        generator(source)


def test_a_models_own_error_passes_unchanged():
    class OwnError(Exception):
        pass

    def model(batch):
        raise OwnError

    with pytest.raises(OwnError):
        run(model)


# What they close over


def test_what_a_function_closes_over_is_read_afresh_in_each_run():
    state = {"factor": 2.0, "power": 1, "negate": False, "W": jnp.asarray(FIRST)}

    def model(batch):
        scores = state["factor"] * (batch @ state["W"]) ** state["power"]
        return -scores if state["negate"] else scores

    made = generator(model, output_mode="logits")
    scores = INPUTS.astype(float) @ FIRST
    state["factor"] = 4.0
    for changed, expected in [
        ({}, 4 * scores),
        ({"factor": 0.5}, scores / 2),
        ({"power": 2}, scores**2 / 2),
        ({"negate": True}, -(scores**2) / 2),
        ({"factor": 1.0, "power": 1, "negate": False, "W": jnp.asarray(-FIRST)}, -scores),
    ]:
        state.update(changed)
        check(made.generate_distributions(INPUTS, progress=False), reference.softmax(expected))


def test_numpy_weights_that_were_changed_in_place_are_read_afresh():
    weight = FIRST.copy()
    made = generator(lambda batch: batch @ weight, output_mode="logits")
    check(made.generate_distributions(INPUTS, progress=False), softmax_of(FIRST))
    weight *= -1
    check(made.generate_distributions(INPUTS, progress=False), softmax_of(-FIRST))


def test_python_that_the_program_calls_back_is_the_one_of_this_run():
    state = [1.0]

    def model(batch):
        factor = state[0]
        shape = jax.ShapeDtypeStruct(batch.shape, batch.dtype)
        return jax.pure_callback(lambda values: np.asarray(values) * np.float32(factor), shape, batch)

    made = generator(model, output_mode="logits")
    for factor in (1.0, -2.0):
        state[0] = factor
        check(made.generate_distributions(INPUTS, progress=False), reference.softmax(factor * INPUTS.astype(float)))


def test_settings_of_jax_are_those_of_the_run():
    seen = []

    def model(batch):
        seen.append(jnp.asarray(1.0).dtype)
        return batch

    made = generator(model, output_mode="logits", backend="jax")
    check(made.generate_distributions(INPUTS, progress=False), reference.softmax(INPUTS))
    with jax.enable_x64(True):  # noqa: FBT003  # its only argument
        check(made.generate_distributions(INPUTS, progress=False), reference.softmax(INPUTS))
    assert seen == [jnp.float32, jnp.float64]


# What they are given


def test_mappings_and_tuples_reach_the_function_as_they_are():
    inputs = {"left": INPUTS, "right": 2 * INPUTS}
    seen = []

    def model(batch):
        seen.append(type(batch))
        return batch["left"] + batch["right"] if isinstance(batch, dict) else batch[0] + batch[1]

    expected = reference.softmax(3 * INPUTS.astype(float))
    check(run(model, inputs, output_mode="logits"), expected)
    pairs = [(pair, 0) for pair in zip(INPUTS, 2 * INPUTS, strict=True)]
    check(run(model, pairs, output_mode="logits"), expected)
    assert seen == [dict, tuple]


def test_inputs_that_are_no_numbers_reach_the_function_as_they_are():
    def model(texts):
        return jnp.array([[float(len(text)), 0.0] for text in texts])

    with pytest.warns(UserWarning, match="its inputs hold") as caught:
        distributions = run(model, ["a", "bbb", "cc", "d"], batch_size=3)
    assert len(caught) == 1
    check(distributions, reference.softmax([[1, 0], [3, 0], [2, 0], [1, 0]]))


def test_samples_of_different_lengths_come_as_a_list_and_are_not_padded():
    rows = [np.full((4, length), 0.25 / length, np.float32) for length in range(1, 8)]
    seen = []

    def model(batch):
        seen.extend(sample.shape for sample in batch)
        return jnp.stack([sample.sum(axis=1) for sample in batch])

    distributions = run(model, rows, batch_size=5, output_mode="probs")
    assert seen == [(4, length) for length in range(1, 8)]
    check(distributions, np.full((7, 4), 0.25))


@pytest.mark.parametrize(
    ("model", "known"),
    [
        (jax.jit(jnp.tanh), True),
        (jax.tree_util.Partial(jnp.tanh), True),
        (lambda batch: batch, False),
        (np.tanh, False),
    ],
)
def test_functions_are_recognized_where_jax_made_them(model, known):
    assert bool(HOOK.recognizes(source=model)) is known


def test_a_function_is_known_by_its_code_and_what_it_closes_over():
    digests = [HOOK.weight_digest(model=load(lambda rows, by=by: logits(rows) * by)) for by in (1.0, 1.0, 2.0)]
    assert digests[0] == digests[1] != digests[2]
    assert HOOK.weight_digest(model=load(jnp.tanh)) == "not seen"


def test_the_rows_are_those_of_the_closed_form():
    """Guards the tests of this folder: the expected rows differ from each other."""
    assert EXPECTED.std() > 0.1
    assert abs(EXPECTED - softmax_of(FIRST)).max() > 0.1
