"""What a model returns: containers, wrong shapes, half precision; and what happens when memory does not suffice."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.errors import JaxRuntimeError

from probly.data_generator import InvalidOutputError, SimpleDataLoader
from probly.data_generator.testing import reference
from tests.jax_backend.runs import HOOK, INPUTS, batches, check, forward, generator, load, put, run


@dataclass
class Opaque:
    """Outputs that are no pytree."""

    rows: object
    logits: object = None


@pytest.mark.parametrize("jit", [True, False])
def test_raw_outputs_are_untouched_and_unpadded(jit):
    seen = []

    def transform(outputs):
        seen.append(outputs)
        return jax.nn.softmax(outputs["rows"])

    with jax.disable_jit(not jit):
        rows = run(
            lambda batch: {"rows": batch, "scale": 2, "name": "x", "none": None}, INPUTS, output_transform=transform
        )
    check(rows, reference.softmax(INPUTS))
    assert [out["rows"].shape[0] for out in seen] == [16, 16, 16, 2]
    assert all((type(out["scale"]), out["scale"], out["name"], out["none"]) == (int, 2, "x", None) for out in seen)


def test_raw_outputs_that_jax_does_not_know_run_uncompiled():
    options = {"output_transform": lambda outputs: jax.nn.softmax(outputs.rows), "backend": "jax"}
    with pytest.warns(UserWarning, match="raw outputs hold Opaque") as caught:
        check(run(Opaque, INPUTS, **options), reference.softmax(INPUTS))
    assert len(caught) == 1
    with jax.disable_jit():  # asked for, so no warning
        check(run(Opaque, INPUTS, **options), reference.softmax(INPUTS))


def test_raw_outputs_that_are_no_arrays_are_those_of_this_run():
    state, seen = ["first"], []

    def transform(outputs):
        seen.append(outputs["name"])
        return jax.nn.softmax(outputs["scores"])

    made = generator(lambda batch: {"scores": batch, "name": state[0]}, output_transform=transform, batch_size=50)
    made.generate_distributions(INPUTS, progress=False)
    state[0] = "second"
    made.generate_distributions(INPUTS, progress=False)
    assert seen == ["first", "second"]


@pytest.mark.parametrize(
    "container", [lambda rows: {"logits": rows, "name": "x"}, lambda rows: Opaque("x", logits=rows)]
)
def test_scores_are_found_in_any_container_without_leaving_the_compiled_program(container):
    """No warning: what is not used need not be known to jax."""
    check(run(container, INPUTS, output_mode="logits"), reference.softmax(INPUTS))


def test_padding_does_not_hide_a_wrong_row_count():
    def model(batch):
        return batch.reshape(-1, 10)

    with pytest.raises(InvalidOutputError, match="expected 16 rows, got 8"):
        run(model, INPUTS, output_mode="logits")
    with pytest.raises(InvalidOutputError, match=r"expected 16 rows, got 0 \(shape \(\)\)"):
        run(jnp.mean, INPUTS, output_mode="logits")
    loaded = load(model)
    *_, last = batches(SimpleDataLoader(INPUTS, batch_size=16))
    assert len(last.inputs) == 2
    with pytest.raises(InvalidOutputError, match="expected 16 rows, got 8"):
        forward(loaded, put(last.inputs), 16)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_outputs(dtype):
    half = np.asarray(jnp.asarray(INPUTS, dtype), np.float64)
    check(run(lambda x: x.astype(dtype), INPUTS, output_mode="logits"), reference.softmax(half))
    rows = run(lambda x: jax.nn.softmax(x.astype(dtype)), INPUTS, output_mode="probs")
    np.testing.assert_allclose(rows.probabilities, reference.softmax(half), rtol=0, atol=4e-3)


# Memory


def hungry(batch):
    """Ask for an exabyte when there are more than 8 rows."""
    if batch.shape[0] > 8:
        return batch + jnp.cumsum(jnp.zeros(2**58) + batch[0, 0])[-1]
    return batch


def test_a_real_out_of_memory_error_halves_the_batch():
    with pytest.warns(UserWarning, match="out of memory") as caught:
        distributions = run(hungry, INPUTS, output_mode="logits")
    assert len(caught) == 1
    check(distributions, reference.softmax(INPUTS))


def test_is_out_of_memory():
    def answer(error):
        return HOOK.is_out_of_memory(error=error)

    assert answer(JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8"))
    assert answer(MemoryError())
    assert not answer(JaxRuntimeError("INTERNAL: something else"))
    assert not answer(RuntimeError("out of memory"))
