"""What JAX compiles, and how often: once per function, although every run traces it again."""

import functools
import gc
import warnings
import weakref

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from probly.data_generator import SimpleDataLoader, hookimpl
from probly.data_generator.jax_first_order_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from probly_data_generator_jax import backend, compiling
from probly_data_generator_jax.data import jax_batches
from probly_data_generator_jax.devices import Staged
from probly_data_generator_jax.jaxprs import UnknownParameterError, signature
from tests.frameworks import suite
from tests.jax_backend.test_jax import python

framework = suite("jax")
WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))
FIRST = WEIGHTS.first[:, :3]


def rows_of(generator, dataset=INPUTS):
    return generator.generate_distributions(dataset, progress=False).probabilities


def generator_of(model, **options):
    return FirstOrderDataGenerator(model, **{"batch_size": 16, "output_mode": "logits", **options})


def softmax_of(weight):
    return reference.softmax(INPUTS.astype(float) @ weight)


@pytest.fixture
def compiled():
    """Count what XLA compiles."""
    names = []

    def count(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(duration)

    jax.monitoring.register_event_duration_secs_listener(count)
    yield names
    jax.monitoring.unregister_event_duration_listener(count)


# Compiled once


def closure():
    weight = jnp.asarray(FIRST)
    return lambda batch: jax.nn.relu(batch @ weight) - jax.nn.relu(-(batch @ weight))


def jitted():
    weight = jnp.asarray(FIRST)
    return jax.jit(lambda batch: batch @ weight)


def numpy_weights():
    return lambda batch: batch @ FIRST


MODELS = {"closure": closure, "jitted": jitted, "NumPy": numpy_weights}


@pytest.mark.parametrize("kind", MODELS)
def test_a_function_is_compiled_once_for_all_runs(kind, compiled):
    generator = generator_of(MODELS[kind]())
    first = rows_of(generator)
    compiled.clear()
    second = rows_of(generator)
    assert compiled == []
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, softmax_of(FIRST), rtol=0, atol=1e-6)


@pytest.mark.parametrize("make", [lambda: framework.mlp(WEIGHTS), lambda: eqx.nn.Linear(5, 3, key=jax.random.key(0))])
def test_a_module_is_compiled_once_for_all_runs_and_generators(make, compiled):
    module = make()
    first = rows_of(generator_of(module))
    compiled.clear()
    np.testing.assert_array_equal(rows_of(generator_of(module)), first)
    assert compiled == []


def test_new_weights_are_seen_without_compiling(compiled):
    params = {"W": jnp.asarray(FIRST), "b": np.zeros(3, np.float32)}
    generator = generator_of(lambda batch: batch @ params["W"] + params["b"])
    rows_of(generator)
    compiled.clear()
    params["W"] = jnp.asarray(-FIRST)
    params["b"][:] = [1, 2, 3]
    rows = rows_of(generator)
    assert compiled == []
    expected = reference.softmax(INPUTS.astype(float) @ -FIRST + [1, 2, 3])
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6)


def test_the_weights_of_a_module_that_was_trained_are_seen_without_compiling(compiled):
    module = framework.mlp(WEIGHTS)
    generator = generator_of(module)
    rows_of(generator)
    module.second.kernel[...] = np.zeros((16, 3), np.float32)
    module.second.bias[...] = np.zeros(3, np.float32)
    compiled.clear()
    np.testing.assert_allclose(rows_of(generator), np.full((50, 3), 1 / 3), rtol=0, atol=1e-6)
    assert compiled == []


# Compiled again


def test_whatever_else_a_function_closes_over_is_seen():
    state = {"factor": 2.0, "power": 1, "negate": False, "layer": jax.jit(lambda batch: batch @ jnp.asarray(FIRST))}

    def model(batch):
        scores = state["factor"] * state["layer"](batch) ** state["power"]
        return -scores if state["negate"] else scores

    generator = generator_of(model)
    scores = INPUTS.astype(float) @ FIRST
    np.testing.assert_allclose(rows_of(generator), reference.softmax(2 * scores), rtol=0, atol=1e-6)
    state["factor"] = 3.0
    np.testing.assert_allclose(rows_of(generator), reference.softmax(3 * scores), rtol=0, atol=1e-6)
    state["power"] = 2
    np.testing.assert_allclose(rows_of(generator), reference.softmax(3 * scores**2), rtol=0, atol=2e-6)
    state["negate"] = True
    np.testing.assert_allclose(rows_of(generator), reference.softmax(-3 * scores**2), rtol=0, atol=2e-6)
    state.update(factor=1.0, power=1, negate=False, layer=jax.jit(lambda batch: batch @ jnp.asarray(-FIRST)))
    np.testing.assert_allclose(rows_of(generator), reference.softmax(-scores), rtol=0, atol=1e-6)


def test_what_a_jitted_function_closes_over_is_compared_too():
    def layer(weight):
        return jax.jit(lambda batch: batch @ weight)

    for kind in (jnp.asarray, np.asarray):
        state = [layer(kind(FIRST))]
        generator = generator_of(lambda batch, state=state: state[0](batch))
        np.testing.assert_allclose(rows_of(generator), softmax_of(FIRST), rtol=0, atol=1e-6)
        state[0] = layer(kind(-FIRST))
        np.testing.assert_allclose(rows_of(generator), softmax_of(-FIRST), rtol=0, atol=1e-6)


def test_python_that_the_program_calls_back_is_the_one_of_this_run():
    state = [1.0]

    def model(batch):
        factor = state[0]
        shape = jax.ShapeDtypeStruct(batch.shape, batch.dtype)
        return jax.pure_callback(lambda values: np.asarray(values) * np.float32(factor), shape, batch)[:, :3]

    generator = generator_of(model)
    for factor in (1.0, -2.0):
        state[0] = factor
        np.testing.assert_allclose(
            rows_of(generator), reference.softmax(factor * INPUTS[:, :3].astype(float)), rtol=0, atol=1e-6
        )


def test_settings_of_jax_are_not_those_of_the_first_run():
    generator = generator_of(lambda batch: batch.astype(jnp.float64)[:, :3] * jnp.float64(1e-9) * 1e9)
    shape = jax.ShapeDtypeStruct((16, 5), jnp.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # float64 is not available
        rows_of(generator)
    with jax.enable_x64(True):  # noqa: FBT003  # its only argument
        seen = jax.eval_shape(generator.model, shape)
        rows = rows_of(generator)
    assert seen.dtype == jnp.float64
    np.testing.assert_allclose(rows, reference.softmax(INPUTS[:, :3].astype(float)), rtol=0, atol=1e-6)


def test_raw_outputs_that_are_no_arrays_are_those_of_this_run():
    state = ["first"]
    seen = []

    def transform(outputs):
        seen.append(outputs["name"])
        return jax.nn.softmax(outputs["scores"])

    generator = generator_of(
        lambda batch: {"scores": batch[:, :3], "name": state[0]}, output_transform=transform, batch_size=50
    )
    rows_of(generator)
    state[0] = "second"
    rows_of(generator)
    assert seen == ["first", "second"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: x * 0.1, lambda x: x * 0.10000001),
        (lambda x: x * 0.0, lambda x: x * -0.0),
        (lambda x: x + 1, lambda x: x - 1),
        (lambda x: x[:, ::-1], lambda x: x),
        (lambda x: x.sum(0), lambda x: x.sum(1)),
        (lambda x: (x, x + 1), lambda x: (x + 1, x)),
        (lambda x: x - x.T, lambda x: x.T - x),
        (
            lambda x: jax.lax.scan(lambda c, r: (c + r, c), x[0], x),
            lambda x: jax.lax.scan(lambda c, r: (c - r, c), x[0], x),
        ),
        (
            lambda x: jax.lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x),
            lambda x: jax.lax.cond(x[0, 0] > 0, jnp.cos, jnp.sin, x),
        ),
        (jax.nn.relu, jax.nn.gelu),
        (lambda x: jnp.dot(x, x), lambda x: jnp.dot(x, x, precision="highest")),
    ],
)
def test_signatures_tell_programs_apart(one, other):
    x = jnp.ones((3, 3))
    assert signature(jax.make_jaxpr(one)(x)) == signature(jax.make_jaxpr(functools.partial(one))(x))
    assert signature(jax.make_jaxpr(one)(x)) != signature(jax.make_jaxpr(other)(x))


def test_what_calls_back_has_no_signature():
    with pytest.raises(UnknownParameterError):
        signature(jax.make_jaxpr(lambda x: jax.pure_callback(np.sin, x, x))(jnp.ones(3)))


def test_programs_live_as_long_as_their_model():
    class Model:
        def __init__(self):
            self.weight = jnp.asarray(FIRST)

        def __call__(self, batch):
            return jax.jit(lambda batch: batch @ self.weight)(batch)

    model = Model()
    number, weight, reference_to = id(model), weakref.ref(model.weight), weakref.ref(model)
    generator = generator_of(model)
    rows_of(generator)
    assert number in compiling._KEPT
    del generator, model
    gc.collect()
    jax.clear_caches()
    gc.collect()
    assert reference_to() is None
    assert weight() is None
    assert number not in compiling._KEPT


def test_not_more_programs_are_kept_than_are_of_use():
    generator = generator_of(lambda batch: batch[:, :3])
    for size in range(1, compiling.MOST_PROGRAMS + 4):
        generator.batch_size = size
        rows_of(generator)
    assert len(compiling._KEPT[id(generator.model)]) == compiling.MOST_PROGRAMS


# The way of the inputs


def test_arrays_in_memory_are_sliced_and_taken_to_the_device_by_the_program_itself():
    taken = []

    class Watching:
        @hookimpl(wrapper=True)
        def forward(self, inputs):
            taken.append(type(inputs))
            return (yield)

    generator = generator_of(lambda batch: batch[:, :3], wrappers=[Watching()])
    rows_of(generator)
    assert taken == [np.ndarray] * 4
    assert isinstance(generator.to_device(INPUTS), jax.Array)


def test_nothing_waits_for_the_device_before_the_next_batch_is_dispatched():
    """Copies to the host are those of the rows, one batch behind; all others are refused."""
    model = backend.load_model(lambda batch: batch[:, :3], "cpu", {})
    batches = list(backend.iterate_batches(INPUTS, 16, None, None, None, 0))
    with jax.transfer_guard_device_to_host("disallow_explicit"):
        outputs = [backend.forward(model, backend.to_device(batch.inputs, "cpu"), "logits", 16) for batch in batches]
    rows = np.concatenate([backend.to_device(part, "host") for part in outputs])
    np.testing.assert_allclose(rows, reference.softmax(INPUTS[:, :3].astype(float)), rtol=0, atol=1e-6)


def test_a_loader_that_fills_one_buffer_again_and_again_gives_the_rows_of_each_batch():
    class Reusing(SimpleDataLoader):
        def __init__(self):
            super().__init__(INPUTS, 10)
            self.buffer = np.empty((10, 5), np.float32)

        def collate(self, indices):
            self.buffer[:] = INPUTS[indices]
            return self.buffer

    rows = rows_of(generator_of(lambda batch: batch @ jnp.asarray(FIRST)), Reusing())
    np.testing.assert_allclose(rows, softmax_of(FIRST), rtol=0, atol=1e-6)


def test_a_function_without_weights_runs_on_the_device_that_was_asked_for():
    printed = python(
        """
        import jax, numpy as np
        from probly_data_generator_jax import backend
        for name in ("cpu", "cpu:1"):
            model = backend.load_model(lambda batch: batch * 2, name, {})
            batch = next(iter(backend.iterate_batches(np.ones((4, 3), np.float32), 4, None, None, None, 0)))
            rows = backend.forward(model, backend.to_device(batch.inputs, name), "raw", 4)
            print({device.id for device in rows.devices()})
        """,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert printed.split() == ["{0}", "{1}"]


def test_two_devices_share_ragged_batches_and_compile_once():
    printed = python(
        """
        import jax, jax.numpy as jnp, numpy as np
        from probly.data_generator import FirstOrderDataGenerator
        inputs = np.random.default_rng(0).normal(size=(23, 5)).astype(np.float32)
        weight, traces = jnp.ones((5, 3)) * jnp.arange(3), []
        def model(batch):
            traces.append(batch.shape)
            return batch @ weight
        generator = FirstOrderDataGenerator(model, "cpu:all", 7, "logits", backend="jax")
        compiled = []
        for run in range(2):
            rows = generator.generate_distributions(inputs, progress=False).probabilities
            if run == 0:
                jax.monitoring.register_event_duration_secs_listener(
                    lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None
                )
        print(traces, len(compiled))
        np.testing.assert_allclose(rows, jax.nn.softmax(inputs @ np.asarray(weight)), rtol=0, atol=1e-6)
        """,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert printed.strip() == "[(8, 5), (8, 5)] 0"


# Options


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match=r"unknown option 'donated'; known: donate"):
        generator_of(lambda batch: batch, options={"donated": True})


def test_donated_inputs_are_copies():
    array = jnp.asarray(INPUTS[:, :3])
    for dataset in (array, np.array(array)):
        generator = generator_of(lambda batch: batch * 2, options={"donate": True}, batch_size=10)
        for _ in range(2):
            rows = rows_of(generator, dataset)
            np.testing.assert_allclose(rows, reference.softmax(2 * INPUTS[:, :3].astype(float)), rtol=0, atol=1e-6)
        np.testing.assert_array_equal(dataset, INPUTS[:, :3])
    model = backend.load_model(lambda batch: batch * 2, "cpu", {"donate": True})
    on_device = jnp.asarray(INPUTS)
    backend.forward(model, on_device, "logits", 50)
    assert not on_device.is_deleted()


def test_donating_inputs_that_no_output_fits_into_is_said_by_jax():
    with pytest.warns(UserWarning, match="donated buffers were not usable"):
        rows = rows_of(generator_of(lambda batch: batch[:, :3], options={"donate": True}))
    np.testing.assert_allclose(rows, reference.softmax(INPUTS[:, :3].astype(float)), rtol=0, atol=1e-6)


def test_modules_are_split_once_and_not_per_batch():
    class Counting(nnx.Module):
        def __init__(self):
            self.mlp = framework.mlp(WEIGHTS)

        def __call__(self, batch):
            traces.append(batch.shape)
            return self.mlp(batch)

    traces = []
    generator = generator_of(Counting())
    for run in (1, 2):
        np.testing.assert_allclose(rows_of(generator), EXPECTED, rtol=0, atol=1e-6)
        assert traces == [(16, 5)] * run


class Reader:
    """An array of another library, which reads every slice into the same memory."""

    dtype, shape = np.dtype(np.float32), (60, 5)

    def __init__(self, values):
        self.values, self.memory = values, np.empty((5, 5), np.float32)

    def __len__(self):
        return 60

    def __getitem__(self, rows):
        part = self.values[rows]
        self.memory[: len(part)] = part
        return self.memory[: len(part)]


def test_arrays_that_read_into_one_buffer_are_copied_before_the_next_slice():
    values = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    matrix = np.random.default_rng(1).normal(size=(500, 500)).astype(np.float32) / 25

    def slow(batch):
        wide = jnp.tile(batch, (1, 100))
        for _ in range(20):
            wide = jnp.tanh(wide @ matrix)
        return wide[:, :4]

    generator = FirstOrderDataGenerator(slow, batch_size=5, output_mode="logits")
    expected = generator.generate_distributions(values, progress=False)
    assert generator.generate_distributions(Reader(values), progress=False) == expected
    # The race itself is seldom lost, so this is what decides it.
    for dataset, lasts in ((values, True), (Reader(values), False), (jnp.asarray(values), True)):
        batch = next(jax_batches(dataset, 5, None, None, None))
        assert isinstance(batch.inputs, Staged) == lasts
