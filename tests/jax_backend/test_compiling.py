"""What is compiled, and how often: one program of one shape per run, and every batch goes through it once."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.errors import TracerBoolConversionError

from probly.data_generator import HOST, SimpleDataLoader
from probly.data_generator.testing import reference
from tests.jax_backend.runs import (
    EXPECTED,
    FIRST,
    INPUTS,
    batches,
    check,
    forward,
    generator,
    load,
    logits,
    module,
    put,
    run,
    softmax_of,
)

MODES = {
    "auto": {"output_mode": "auto"},
    "logits": {"output_mode": "logits"},
    "probs": {"output_mode": "probs"},
    "transform": {"output_transform": lambda rows: rows},
}


def function_of(mode):
    """Return a function whose outputs are what the mode expects."""
    return logits if mode in ("auto", "logits") else lambda batch: jax.nn.softmax(logits(batch))


class Tracing:
    """A function that notes the shapes that it is traced with, or called with where it is not traced."""

    def __init__(self, function=lambda batch: batch):
        self.function = function
        self.shapes = []

    def __call__(self, batch):
        self.shapes.append(batch.shape)
        return self.function(batch)


@pytest.fixture
def compiled():
    """Collect what XLA compiles."""
    events = []

    def collect(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            events.append(duration)

    jax.monitoring.register_event_duration_secs_listener(collect)
    yield events
    jax.monitoring.unregister_event_duration_listener(collect)


@pytest.fixture(autouse=True, scope="module")
def padding_is_compiled():
    """JAX compiles what pads and cuts a batch, and the functions of jax.nn, once per process: not in these tests."""
    for mode, options in MODES.items():
        check(run(function_of(mode), INPUTS, **options))


# Once per run


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "transform"])
def test_a_run_compiles_one_program_of_one_shape(mode, compiled):
    model = Tracing(function_of(mode))
    check(run(model, INPUTS, **MODES[mode]))
    assert model.shapes == [(16, 5)]
    assert len(compiled) == 1


def test_what_an_output_transform_reads_is_never_cut(compiled):
    model, seen = Tracing(function_of("transform")), []

    def transform(rows):
        seen.append(rows.shape)
        return rows

    check(run(model, INPUTS, output_transform=transform))
    assert seen == [(16, 3), (16, 3), (16, 3), (2, 3)]
    assert model.shapes == [(16, 5), (2, 5)]
    assert len(compiled) == 2


def test_a_modules_run_compiles_one_program(compiled):
    class Traced(nnx.Module):
        def __init__(self):
            self.mlp = module()

        def __call__(self, batch):
            shapes.append(batch.shape)
            return self.mlp(batch)

    shapes = []
    made = generator(Traced())
    compiled.clear()
    check(made.generate_distributions(INPUTS, progress=False))
    assert shapes == [(16, 5)]
    assert len(compiled) == 1


def test_a_dataset_smaller_than_a_batch_is_not_padded():
    model = Tracing()
    check(run(model, INPUTS[:3], output_mode="logits", batch_size=64), reference.softmax(INPUTS[:3]))
    assert model.shapes == [(3, 5)]


def test_the_batches_of_a_loader_are_padded_to_the_largest_so_far():
    class Uneven(SimpleDataLoader):
        def __init__(self):
            super().__init__(INPUTS, 1)
            ends = [0, 4, 20, 25, 41, 50]
            self.batch_sampler = [list(range(*pair)) for pair in itertools.pairwise(ends)]

    model = Tracing()
    check(run(model, Uneven(), output_mode="logits"), reference.softmax(INPUTS))
    assert model.shapes == [(4, 5), (16, 5)]


def test_what_the_user_compiled_is_not_compiled_again_for_a_later_run(compiled):
    weight = jnp.asarray(FIRST)
    model = Tracing(lambda batch: batch @ weight)
    made = generator(jax.jit(model), output_mode="logits")
    first = made.generate_distributions(INPUTS, progress=False)
    compiled.clear()
    assert made.generate_distributions(INPUTS, progress=False) == first
    check(first, softmax_of(FIRST))
    assert model.shapes == [(16, 5)]
    assert compiled == []


# Once per batch


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", ["compiled by us", "compiled by the user", "uncompiled"])
def test_every_batch_is_computed_once(mode, way):
    seen = []

    def look(batch):
        seen.append(np.array(batch))
        return seen[-1]

    def model(batch):
        shape = jax.ShapeDtypeStruct(batch.shape, batch.dtype)
        return function_of(mode)(jax.experimental.io_callback(look, shape, batch))

    with jax.disable_jit(way == "uncompiled"):
        check(run(jax.jit(model) if way == "compiled by the user" else model, INPUTS, backend="jax", **MODES[mode]))
    last = INPUTS[48:] if mode == "transform" else INPUTS[[48, *[49] * 15]]
    assert len(seen) == 4
    np.testing.assert_array_equal(np.concatenate(seen), np.concatenate([INPUTS[:48], last]))


@pytest.mark.parametrize("mode", MODES)
def test_an_uncompiled_model_is_called_once_per_batch(mode):
    model = Tracing(function_of(mode))
    with jax.disable_jit():
        check(run(model, INPUTS, **MODES[mode]))
    assert len(model.shapes) == 4


# What cannot be traced


def branches(batch):
    return batch if batch.sum() > -1e9 else -batch


def calls_numpy(batch):
    return np.asarray(batch)


def works_in_place():
    memory = np.empty((16, 5), np.float32)

    def model(batch):
        memory[:] = np.asarray(batch)
        return memory

    return model


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (branches, "TracerBool"),
        (calls_numpy, "TracerArrayConversionError"),
        (works_in_place(), "TracerArrayConversionError"),
    ],
)
def test_what_cannot_be_traced_runs_uncompiled_with_one_warning(model, why):
    with pytest.warns(UserWarning, match=f"jax.jit cannot trace the model, so it runs uncompiled.*{why}") as caught:
        distributions = run(model, INPUTS, output_mode="logits", backend="jax")
    assert len(caught) == 1
    check(distributions, reference.softmax(INPUTS))


def test_a_jitted_function_that_cannot_be_traced_fails_without_a_warning():
    with pytest.raises(TracerBoolConversionError):
        run(jax.jit(branches), INPUTS)


def test_disable_jit_is_honoured():
    model = Tracing(branches)  # no warning either: nothing is traced
    with jax.disable_jit():
        distributions = run(model, INPUTS, output_mode="logits")
    assert len(model.shapes) == 4
    check(distributions, reference.softmax(INPUTS))
    jitted = Tracing(branches)
    with jax.disable_jit():
        check(run(jax.jit(jitted), INPUTS, output_mode="logits"), reference.softmax(INPUTS))
    assert len(jitted.shapes) == 4


# While the device computes


def test_forward_returns_before_the_device_has_finished():
    def slow(batch):
        big = jnp.broadcast_to(batch[:1, :1], (400, 400))
        return batch + 0 * jax.lax.fori_loop(0, 60, lambda _, product: product @ big / 400, big)[0, 0]

    model, inputs = load(slow), put(INPUTS)
    forward(model, inputs, 50).block_until_ready()
    rows = forward(model, inputs, 50)
    assert not rows.is_ready()
    np.testing.assert_array_equal(put(rows, HOST), INPUTS)


def test_nothing_waits_for_the_device_before_the_next_batch_is_dispatched():
    """Copies to the host are those of the rows, one batch behind; all others are refused."""
    model = load(logits)
    with jax.transfer_guard_device_to_host("disallow_explicit"):
        outputs = [forward(model, put(batch.inputs), 16) for batch in batches(INPUTS)]
    rows = np.concatenate([put(part, HOST) for part in outputs])
    np.testing.assert_allclose(reference.softmax(rows), EXPECTED, rtol=0, atol=1e-6)


# The option


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"unknown option 'donated'; known: donate"):
        generator(jnp.tanh, options={"donated": True})


@pytest.mark.parametrize("wrap", [lambda function: function, jax.jit])
def test_donated_inputs_are_copies(wrap):
    array = jnp.asarray(INPUTS[:, :3])
    for dataset in (array, np.array(array)):
        made = generator(wrap(lambda batch: batch * 2), options={"donate": True}, backend="jax", output_mode="logits")
        for _ in range(2):
            check(made.generate_distributions(dataset, progress=False), reference.softmax(2 * INPUTS[:, :3]))
        np.testing.assert_array_equal(dataset, INPUTS[:, :3])
    on_device = jnp.asarray(INPUTS)
    forward(load(lambda batch: batch * 2, donate=True), on_device, 50)
    assert not on_device.is_deleted()


def test_donating_inputs_that_no_output_fits_into_is_said_by_jax():
    with pytest.warns(UserWarning, match="donated buffers were not usable"):
        distributions = run(lambda batch: batch[:, :3], INPUTS, options={"donate": True}, output_mode="logits")
    check(distributions, reference.softmax(INPUTS[:, :3]))


def test_a_last_shard_with_fewer_rows_than_a_batch_is_computed_by_the_same_program(tmp_path):
    model, out = Tracing(logits), tmp_path / "a.fod"
    made = generator(model, output_mode="logits")
    made.generate_distributions(INPUTS, progress=False, out=out, shard_rows=16)
    max((out / "shards").iterdir()).unlink()
    shared = made.generate_distributions(INPUTS, progress=False, out=out, shard_rows=16)  # that shard alone
    assert {shape[0] for shape in model.shapes} == {16}
    alone = run(logits, INPUTS, output_mode="logits")
    np.testing.assert_array_equal(shared.probabilities, alone.probabilities)
