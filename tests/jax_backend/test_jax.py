"""What only JAX has: transformations, modules, compilation, devices. What all backends share is tested elsewhere."""

import os
import subprocess
import sys
import textwrap

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.errors import JaxRuntimeError, TracerBoolConversionError

from probly.data_generator import HOST, AlignmentError, InvalidOutputError, SimpleDataLoader
from probly.data_generator.jax_first_order_generator import (
    FirstOrderDataGenerator,
    FirstOrderDataset,
    JAXDataGenerator,
    JaxDataLoader,
    output_dataloader,
    prepares_batch_inp,
)
from probly.data_generator.testing import reference
from probly_data_generator_jax import backend
from tests.conftest import BACKENDS
from tests.frameworks import suite

framework = suite("jax")
WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))


def run(model, dataset=(INPUTS, LABELS), **options):
    options = {"batch_size": 16, **options}
    return FirstOrderDataGenerator(model, **options).generate_distributions(dataset, progress=False)


def assert_rows(distributions, expected=EXPECTED):
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)


def mlp_of_a_sample(sample):
    return jax.nn.relu(sample @ WEIGHTS.first + WEIGHTS.first_bias) @ WEIGHTS.second + WEIGHTS.second_bias


def python(code, **environment):
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Counted:
    """A function that counts its traces, or its calls where it is not traced."""

    def __init__(self, function=lambda batch: batch):
        self.function = function
        self.calls = 0
        self.shapes = []

    def __call__(self, batch):
        self.calls += 1
        self.shapes += [leaf.shape for leaf in jax.tree.leaves(batch)]
        return self.function(batch)


# Functions


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.vmap, lambda f: jax.jit(jax.vmap(f)), jax.checkpoint])
def test_functions_and_their_transformations(wrap):
    assert_rows(run(wrap(mlp_of_a_sample)))


def test_a_function_compiled_ahead_of_time_gets_full_batches():
    compiled = jax.jit(mlp_of_a_sample).lower(jax.ShapeDtypeStruct((16, 5), jnp.float32)).compile()
    assert_rows(run(compiled, output_mode="logits"))


def test_what_a_function_closes_over_is_read_afresh_in_each_run():
    params = {"W": jnp.asarray(WEIGHTS.first[:, :3])}
    generator = FirstOrderDataGenerator(lambda x: x @ params["W"], output_mode="logits")
    first = generator.generate_distributions(INPUTS, progress=False)
    params["W"] = -params["W"]
    second = generator.generate_distributions(INPUTS, progress=False)
    assert_rows(first, reference.softmax(INPUTS.astype(float) @ WEIGHTS.first[:, :3]))
    assert_rows(second, reference.softmax(-INPUTS.astype(float) @ WEIGHTS.first[:, :3]))


def test_a_model_named_by_module_and_attribute():
    distributions = run("jax.nn:softmax", INPUTS, output_mode="probs")
    assert_rows(distributions, reference.softmax(INPUTS))


@pytest.mark.parametrize(
    ("source", "error"), [(3, TypeError), ("weights.msgpack", ValueError), ("jax:no", ImportError)]
)
def test_what_is_no_model_is_refused(source, error):
    with pytest.raises(error, match=r"expected|has no attribute"):
        FirstOrderDataGenerator(source)


def test_mappings_and_tuples_reach_the_function_as_they_are():
    inputs = {"left": INPUTS, "right": 2 * INPUTS}
    seen = []

    def model(batch):
        seen.append(type(batch))
        return batch["left"] + batch["right"] if isinstance(batch, dict) else batch[0] + batch[1]

    expected = reference.softmax(3 * INPUTS.astype(float))
    assert_rows(run(model, inputs, output_mode="logits"), expected)
    pairs = [(pair, 0) for pair in zip(INPUTS, 2 * INPUTS, strict=True)]
    assert_rows(run(model, pairs, output_mode="logits"), expected)
    assert seen == [dict, tuple]


# Compilation


def test_one_trace_per_output_mode_although_the_last_batch_is_ragged():
    for options, traces in [({"output_mode": "logits"}, 1), ({"output_mode": "auto"}, 2)]:
        model = Counted()
        assert_rows(run(model, INPUTS, **options), reference.softmax(INPUTS))
        assert model.calls == traces
        assert set(model.shapes) == {(16, 5)}
    model = Counted()
    assert_rows(run(model, EXPECTED.astype(np.float32)), EXPECTED)
    assert model.calls == 1


def test_a_dataset_smaller_than_a_batch_is_not_padded():
    model = Counted()
    run(model, INPUTS[:3], output_mode="logits", batch_size=64)
    assert model.shapes == [(3, 5)]


def test_forward_returns_before_the_device_has_finished():
    def slow(batch):
        big = jnp.broadcast_to(batch[:1, :1], (700, 700))
        return batch + 0 * jax.lax.fori_loop(0, 60, lambda _, product: product @ big / 700, big)[0, 0]

    model = backend.load_model(slow, "cpu", {})
    inputs = backend.to_device(INPUTS, "cpu")
    backend.forward(model, inputs, "logits", 50).block_until_ready()
    rows = backend.forward(model, inputs, "logits", 50)
    assert not rows.is_ready()
    np.testing.assert_allclose(backend.to_device(rows, HOST), reference.softmax(INPUTS), rtol=0, atol=1e-6)


def branches(batch):
    return batch if batch.sum() > -1e9 else -batch


def calls_numpy(batch):
    return np.asarray(batch)


@pytest.mark.parametrize(("model", "why"), [(branches, "TracerBool"), (calls_numpy, "TracerArrayConversionError")])
def test_what_cannot_be_traced_runs_uncompiled_with_one_warning(model, why):
    with pytest.warns(UserWarning, match=f"cannot trace.*{why}") as caught:
        distributions = run(model, INPUTS, output_mode="logits")
    assert len(caught) == 1
    assert_rows(distributions, reference.softmax(INPUTS))


def test_inputs_that_are_no_numbers_reach_the_function_as_they_are():
    def model(texts):
        return jnp.array([[float(len(text)), 0.0] for text in texts])

    with pytest.warns(UserWarning, match="its inputs hold") as caught:
        distributions = run(model, ["a", "bbb", "cc", "d"], batch_size=3)
    assert len(caught) == 1
    assert_rows(distributions, reference.softmax([[1, 0], [3, 0], [2, 0], [1, 0]]))


def test_samples_of_different_lengths_come_as_a_list_and_are_not_padded():
    rows = [np.full((4, length), 0.25 / length, np.float32) for length in range(1, 8)]
    model = Counted(lambda batch: jnp.stack([sample.sum(axis=1) for sample in batch]))
    distributions = run(model, rows, batch_size=5, output_mode="probs")
    assert model.shapes == [(4, length) for length in range(1, 8)]
    assert_rows(distributions, np.full((7, 4), 0.25))


def test_a_jitted_function_that_cannot_be_traced_fails_without_a_warning():
    with pytest.raises(TracerBoolConversionError):
        run(jax.jit(branches), INPUTS)


def test_disable_jit_is_honoured():
    model = Counted(branches)  # no warning either: nothing is traced
    with jax.disable_jit():
        distributions = run(model, INPUTS, output_mode="logits")
    assert model.calls == 4
    assert_rows(distributions, reference.softmax(INPUTS))


def test_a_models_own_error_passes_unchanged():
    class OwnError(Exception):
        pass

    def model(batch):
        raise OwnError

    with pytest.raises(OwnError):
        run(model)


def test_raw_outputs_are_untouched_and_unpadded():
    class Opaque:
        def __init__(self, rows):
            self.rows = rows

    seen = []

    def transform(outputs):
        seen.append(outputs)
        return jax.nn.softmax(outputs["rows"])

    model = Counted(lambda batch: {"rows": batch, "scale": 2, "name": "x", "none": None})
    assert_rows(run(model, INPUTS, output_transform=transform), reference.softmax(INPUTS))
    assert [out["rows"].shape[0] for out in seen] == [16, 16, 16, 2]
    assert all((type(out["scale"]), out["name"], out["none"]) == (int, "x", None) for out in seen)
    options = {"output_transform": lambda outputs: jax.nn.softmax(outputs.rows)}
    with pytest.warns(UserWarning, match="raw outputs hold Opaque"):
        assert_rows(run(Opaque, INPUTS, **options), reference.softmax(INPUTS))
    with jax.disable_jit():  # asked for, so no warning
        assert_rows(run(Opaque, INPUTS, **options), reference.softmax(INPUTS))


def test_padding_does_not_hide_a_wrong_row_count():
    def model(batch):
        return batch.reshape(-1, 10)

    with pytest.raises(InvalidOutputError, match="expected 16 rows, got 8"):
        run(model, INPUTS, output_mode="logits")
    with pytest.raises(InvalidOutputError, match=r"expected 16 rows, got 0 \(shape \(\)\)"):
        run(jnp.mean, INPUTS, output_mode="logits")
    loader = SimpleDataLoader(INPUTS, batch_size=16)
    loaded = backend.load_model(model, "cpu", {})
    batches = list(backend.iterate_batches(loader, 16, None, None, None, 0))
    with pytest.raises(InvalidOutputError, match="expected 16 rows, got 8"):
        backend.forward(loaded, backend.to_device(batches[-1].inputs, "cpu"), "logits", 16)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_outputs(dtype):
    half = np.asarray(jnp.asarray(INPUTS, dtype), np.float64)
    assert_rows(run(lambda x: x.astype(dtype), INPUTS, output_mode="logits"), reference.softmax(half))
    rows = run(lambda x: jax.nn.softmax(x.astype(dtype)), INPUTS, output_mode="probs")
    np.testing.assert_allclose(rows.probabilities, reference.softmax(half), rtol=0, atol=4e-3)


# Modules


class Norm(nnx.Module):
    def __init__(self, weights):
        self.norm = nnx.BatchNorm(5, rngs=nnx.Rngs(0))
        self.mlp = framework.mlp(weights)

    def __call__(self, inputs):
        return self.mlp(self.norm(inputs))


def test_nnx_modules_are_left_as_they_were_found():
    module = Norm(WEIGHTS)
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngKey))))
    scaled = INPUTS / np.sqrt(1 + 1e-5)
    assert_rows(run(module), reference.softmax(reference.mlp_logits(WEIGHTS, scaled)))
    after = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngKey))))
    assert "count" in str(after), "the dropout's random stream must be among what is compared"
    jax.tree.map(np.testing.assert_array_equal, before, after)
    assert (module.norm.use_running_average, module.mlp.dropout.deterministic) == (False, False)


@pytest.mark.parametrize("traced", [True, False])
def test_nothing_of_a_batch_stays_in_a_module(traced):
    class Counting(nnx.Module):
        def __init__(self):
            self.seen = nnx.Variable(jnp.array(0.0))

        def __call__(self, inputs):
            self.seen.set_value(self.seen.get_value() + 1)
            scale = self.seen.get_value()
            return inputs * (scale if traced or float(scale) else 0.0)

    module = Counting()
    if traced:
        distributions = run(module, INPUTS, output_mode="logits")
    else:
        with pytest.warns(UserWarning, match="ConcretizationTypeError"):
            distributions = run(module, INPUTS, output_mode="logits")
    assert_rows(distributions, reference.softmax(INPUTS))
    assert float(module.seen.get_value()) == 0.0


def test_a_modules_weights_are_read_afresh_in_each_run():
    module = framework.mlp(WEIGHTS)
    generator = FirstOrderDataGenerator(module, output_mode="logits")
    assert_rows(generator.generate_distributions(INPUTS, progress=False))
    module.second.kernel[...] = jnp.zeros((16, 3))
    module.second.bias[...] = jnp.zeros(3)
    assert_rows(generator.generate_distributions(INPUTS, progress=False), np.full((50, 3), 1 / 3))


def test_a_modules_weights_are_no_constants_of_the_compiled_step():
    class Traced(nnx.Module):
        def __init__(self):
            self.mlp = framework.mlp(WEIGHTS)

        def __call__(self, inputs):
            traces.append(inputs.shape)
            return self.mlp(inputs)

    traces = []
    model, inputs = backend.load_model(Traced(), "cpu", {}), jnp.asarray(INPUTS)
    np.testing.assert_allclose(backend.forward(model, inputs, "logits", 50), EXPECTED, rtol=0, atol=1e-6)
    model.weights = jax.tree.map(lambda leaf: leaf * 0 if leaf.dtype == jnp.float32 else leaf, model.weights)
    np.testing.assert_allclose(backend.forward(model, inputs, "logits", 50), np.full((50, 3), 1 / 3), rtol=0, atol=1e-6)
    assert traces == [(50, 5)]


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
    module = EquinoxMLP()
    assert_rows(run(module))
    assert module.dropout.inference is False
    assert_rows(run(eqx.Partial(module, key=None)))


def test_equinox_wrappers_of_functions_are_functions_of_a_batch():
    off = eqx.nn.inference_mode(EquinoxMLP())

    def mlp_of_a_batch(batch):
        return jax.vmap(off)(batch)

    assert_rows(run(eqx.filter_jit(EquinoxMLP())))
    assert_rows(run(eqx.filter_vmap(off)))
    assert_rows(run(eqx.filter_jit(eqx.filter_vmap(EquinoxMLP()))))
    assert_rows(run(eqx.filter_jit(mlp_of_a_batch)))


def test_bound_linen_modules():
    class Linen(nn.Module):
        @nn.compact
        def __call__(self, inputs):
            return nn.Dense(3, name="second")(nn.relu(nn.Dense(16, name="first")(inputs)))

    layers = {"first": WEIGHTS[:2], "second": WEIGHTS[2:]}
    params = {name: {"kernel": kernel, "bias": bias} for name, (kernel, bias) in layers.items()}
    assert_rows(run(Linen().bind({"params": params})))
    with pytest.raises(TypeError, match=r"pass module.bind\(variables\)"):
        FirstOrderDataGenerator(Linen())


KERAS = """
    import keras, numpy as np, sys
    from probly.data_generator import FirstOrderDataGenerator
    from probly_data_generator_jax import backend
    sys.path.insert(0, ".")
    from probly.data_generator.testing import reference
    weights = reference.mlp_weights()
    inputs, labels = reference.samples(rows=50)
    model = keras.Sequential([
        keras.Input((5,)), keras.layers.Dense(16, activation="relu", name="first"), keras.layers.Dropout(0.5),
        keras.layers.Dense(3, name="second"), keras.layers.BatchNormalization(epsilon=0.0)])
    model.get_layer("first").set_weights(weights[:2])
    model.get_layer("second").set_weights(weights[2:])
"""


def test_keras_models_on_jax():
    code = (
        KERAS
        + """
    before = [np.asarray(value) for value in model.get_weights()]
    generator = FirstOrderDataGenerator(model, batch_size=16)
    rows = generator.generate_distributions((inputs, labels), progress=False)
    difference = abs(rows.probabilities - reference.softmax(reference.mlp_logits(weights, inputs))).max()
    same = all((one == np.asarray(two)).all() for one, two in zip(before, model.get_weights(), strict=True))
    print(generator.backend.info.name, difference < 1e-6, same)
    model.get_layer("second").set_weights([value * 0 for value in weights[2:]])
    print(generator.generate_distributions((inputs, labels), progress=False).probabilities.std() < 1e-6)
    try:
        generator.get_posterior_distributions()
    except ValueError as error:
        print(error)
    class Bayes(keras.layers.Layer):
        def build(self, shape):
            self.add_weight(shape=(2,), name="kernel_mu"), self.add_weight(shape=(2,), name="kernel_rho")
        def call(self, inputs):
            return inputs
    bayes = keras.Sequential([keras.Input((5,)), Bayes(name="bayes")])
    print({layer: sorted(pair) for layer, pair in FirstOrderDataGenerator(bayes).get_posterior_distributions().items()})
    """
    )
    lines = python(code, KERAS_BACKEND="jax").splitlines()
    assert lines[:2] == ["jax True True", "True"]
    assert "no Bayesian layer" in lines[2]
    assert "first.kernel" in lines[2]
    assert lines[3] == "{'bayes': ['mu', 'rho']}"


def test_keras_models_on_another_keras_backend_are_refused():
    code = (
        KERAS
        + """
    print(backend.recognizes(model))
    try:
        backend.load_model(model, "cpu", {})
    except TypeError as error:
        print(error)
    """
    )
    printed = python(code, KERAS_BACKEND="numpy")
    assert printed.startswith("False\n")
    assert "runs on numpy" in printed


@pytest.mark.parametrize(
    ("model", "known"),
    [
        (jax.jit(jnp.tanh), True),
        (framework.mlp(WEIGHTS), True),
        (nn.Dense(3), True),
        (eqx.nn.Linear(2, 2, key=jax.random.key(0)), True),
        (eqx.filter_jit(jnp.tanh), True),
        (jax.tree_util.Partial(jnp.tanh), True),
        (lambda batch: batch, False),
        (np.tanh, False),
    ],
)
def test_recognizes(model, known):
    assert backend.recognizes(model) is known


# Devices


def test_unavailable_devices_are_refused_with_the_list():
    for name in ("tpu", "cpu:9", "cpu:-1", "cpu:x", "mars", ""):
        with pytest.raises(ValueError, match=r"not available to jax.*available: 'cpu'"):
            FirstOrderDataGenerator(jnp.tanh, device=name)


def test_device_names():
    for name in (None, "cpu", "cpu:0", "CPU"):
        assert FirstOrderDataGenerator(jnp.tanh, device=name).current_device == "cpu"


def test_to_device_takes_arrays_of_any_library():
    class Foreign:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3)

    nest = {"foreign": Foreign(), "half": np.ones(2, np.float16), "wide": np.ones(2), "text": np.array(["a"])}
    moved = backend.to_device({**nest, "flag": np.array([True]), "bf16": jnp.ones(2, jnp.bfloat16)}, "cpu")
    dtypes = {name: str(value.dtype) for name, value in moved.items()}
    assert dtypes == {
        "foreign": "int32", "half": "float16", "wide": "float32", "text": "<U1", "flag": "bool", "bf16": "bfloat16"
    }  # fmt: skip
    assert moved["text"] is nest["text"]
    assert nest["wide"].dtype == np.float64
    hosted = backend.to_device({**moved, "foreign": Foreign(), "key": jax.random.key(0)}, HOST)
    kinds = {name: type(value) for name, value in hosted.items()}
    assert issubclass(kinds.pop("key"), jax.Array)
    assert set(kinds.values()) == {np.ndarray}
    assert (hosted["half"].dtype, hosted["bf16"].dtype) == (np.float32, np.float32)


def test_a_loader_may_reuse_its_buffer():
    """JAX may keep NumPy memory instead of copying it, if that is aligned."""
    memory = np.zeros(16 * 5 * 4 + 64, np.uint8)
    start = -memory.ctypes.data % 64
    buffer = memory[start : start + 16 * 5 * 4].view(np.float32).reshape(16, 5)
    buffer[:] = 1.0
    moved = backend.to_device(buffer, "cpu")
    buffer[:] = 2.0
    assert (np.asarray(moved) == 1.0).all()


FOUR_DEVICES = """
    import sys; sys.path.insert(0, ".")
    import jax, jax.numpy as jnp, numpy as np
    from flax import nnx
    from probly.data_generator import FirstOrderDataGenerator
    from probly_data_generator_jax import backend
    from probly.data_generator.testing import reference
    from tests.frameworks import suite
    assert len(jax.devices()) == 4
    weights = reference.mlp_weights()
    inputs, labels = reference.samples(rows=50)
    module = suite("jax").mlp(weights)
    def rows(device, batch_size=16, model=module, **options):
        generator = FirstOrderDataGenerator(model, device, batch_size, backend="jax", **options)
        return generator.generate_distributions((inputs, labels), progress=False)
    one = rows("cpu")
    for batch_size in (16, 10, 3, 64):
        many = rows("cpu:all", batch_size)
        assert abs(many.probabilities - one.probabilities).max() <= 1e-6
        assert many.meta["device"] == "cpu:all"
    raw = rows("cpu:all", 10, output_transform=jax.nn.softmax)
    assert abs(raw.probabilities - one.probabilities).max() <= 1e-6
    second = rows("cpu:1")
    assert second.meta["device"] == "cpu:1" and abs(second.probabilities - one.probabilities).max() <= 1e-6
    array = jnp.asarray(weights.first[:, :3])
    plain = rows("cpu:all", model=lambda batch: batch @ array, output_mode="logits")
    expected = reference.softmax(inputs.astype(float) @ weights.first[:, :3])
    assert abs(plain.probabilities - expected).max() <= 1e-6

    model = backend.load_model(module, "cpu:all", {})
    for size in (16, 10):
        out = backend.forward(model, backend.to_device(inputs[:size], "cpu:all"), "logits", size)
        print(size, out.shape, len(out.sharding.device_set))
    full = backend.forward(model, backend.to_device(inputs[:16], "cpu:all"), "logits", 16)
    print(sorted(shard.data.shape for shard in full.addressable_shards))
    print({str(leaf.sharding.is_fully_replicated) for leaf in jax.tree.leaves(model.weights)})
    print({device.id for leaf in jax.tree.leaves(nnx.state(module)) for device in leaf.devices()})
    there = backend.forward(backend.load_model(module, "cpu:2", {}), backend.to_device(inputs, "cpu:2"), "logits", 50)
    print({device.id for device in there.devices()})
    try:
        backend.load_model(module, "cpu:4", {})
    except ValueError as error:
        print(error)
"""


def test_the_rows_of_a_batch_are_divided_among_four_devices():
    lines = python(FOUR_DEVICES, XLA_FLAGS="--xla_force_host_platform_device_count=4").splitlines()
    assert lines[0] == "16 (16, 3) 4"
    assert lines[1].startswith("10 (10, 3)")
    assert lines[2] == "[(4, 3), (4, 3), (4, 3), (4, 3)]"
    assert lines[3:6] == ["{'True'}", "{0}", "{2}"]
    assert lines[6].endswith("available: 'cpu', 'cpu:1', 'cpu:2', 'cpu:3', 'cpu:all'")


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
    assert_rows(distributions, reference.softmax(INPUTS))


def test_is_out_of_memory():
    assert backend.is_out_of_memory(JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8"))
    assert backend.is_out_of_memory(MemoryError())
    assert not backend.is_out_of_memory(JaxRuntimeError("INTERNAL: something else"))
    assert not backend.is_out_of_memory(RuntimeError("out of memory"))


# Data


@pytest.mark.parametrize("arrays", [jnp.asarray, np.asarray])
@pytest.mark.parametrize("kind", ["tuple", "list", "iterable", "simple", "jax"])
def test_datasets(arrays, kind):
    inputs, labels = arrays(INPUTS), arrays(LABELS)
    samples = list(zip(inputs, labels, strict=True))
    dataset = {
        "tuple": lambda: (inputs, labels),
        "list": lambda: samples,
        "iterable": lambda: iter(samples),
        "simple": lambda: SimpleDataLoader((inputs, labels), 16, shuffle=True),
        "jax": lambda: JaxDataLoader(samples, 16, shuffle=True),
    }[kind]()
    distributions = run(framework.mlp(WEIGHTS), dataset)
    assert_rows(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS)


if "torch" in BACKENDS:

    @pytest.mark.parametrize("shuffle", [False, True])
    def test_torch_loaders(shuffle):
        from torch import tensor
        from torch.utils.data import DataLoader, TensorDataset

        loader = DataLoader(TensorDataset(tensor(INPUTS), tensor(LABELS)), 16, shuffle=shuffle)
        distributions = run(framework.mlp(WEIGHTS), loader)
        assert_rows(distributions)
        np.testing.assert_array_equal(distributions.labels, LABELS)


def test_indexing_that_clamps_is_never_asked_beyond_the_end():
    class Endless:
        def __getitem__(self, index):
            return jnp.asarray(INPUTS)[index], 0

    with pytest.raises(TypeError, match="give it __len__"):
        run(jnp.tanh, Endless())
    with pytest.raises(IndexError, match="out of range"):
        FirstOrderDataset((jnp.asarray(INPUTS), jnp.asarray(LABELS)), dict(enumerate(EXPECTED)))[50]
    with pytest.raises(AlignmentError):
        run(jnp.tanh, {1, 2})


def test_jax_data_loader():
    loader = JaxDataLoader((INPUTS.astype(np.float64), LABELS), 16, shuffle=True, seed=3, device="cpu")
    first, again = list(loader), list(JaxDataLoader((INPUTS, LABELS), 16, shuffle=True, seed=3))
    assert len(loader) == len(first) == 4
    for (inputs, labels), (same, _) in zip(first, again, strict=True):
        assert isinstance(inputs, jax.Array)
        assert isinstance(labels, jax.Array)
        assert inputs.dtype == jnp.float32
        np.testing.assert_array_equal(inputs, same)
    assert not np.array_equal(np.concatenate([inputs for inputs, _ in first]), INPUTS)
    assert [batch.shape for batch in JaxDataLoader(jnp.asarray(INPUTS), 40)] == [(40, 5), (10, 5)]
    with pytest.raises(ValueError, match="not available"):
        JaxDataLoader(INPUTS, device="tpu")


def test_output_dataloader():
    distributions = run(framework.mlp(WEIGHTS))
    with pytest.warns(UserWarning, match="num_workers and pin_memory are ignored"):
        loader = output_dataloader((INPUTS, LABELS), distributions, num_workers=2, pin_memory=True)
    (batch,) = loader
    assert all(isinstance(part, jax.Array) for part in batch)
    seeded = [
        output_dataloader((jnp.asarray(INPUTS), LABELS), distributions, shuffle=True, seed=1, device="cpu")
        for _ in range(2)
    ]
    (one,), (two,) = map(list, seeded)
    np.testing.assert_array_equal(one[0], two[0])
    assert not np.array_equal(one[0], INPUTS)
    assert one[2].dtype == jnp.float32
    np.testing.assert_allclose(one[2], reference.softmax(reference.mlp_logits(WEIGHTS, one[0])), rtol=0, atol=1e-6)


def test_first_order_dataset_gives_jax_arrays():
    value, label, row = FirstOrderDataset([(jnp.ones(2), 1)], {0: [0.25, 0.75]})[0]
    assert isinstance(row, jax.Array)
    assert row.dtype == jnp.float32
    assert (float(value[0]), label) == (1.0, 1)
    assert prepares_batch_inp((1, 2)) == 1


def test_the_bound_generator():
    report = JAXDataGenerator(framework.mlp(WEIGHTS), (INPUTS, LABELS)).generate(progress=False)
    assert report["info"]["framework"] == "jax"
    assert report["metrics"]["accuracy"] == np.mean(EXPECTED.argmax(axis=1) == LABELS)


# Posterior


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


def test_posterior_of_modules():
    class Nested(nnx.Module):
        def __init__(self):
            self.encoder = nnx.Sequential(BayesNNX(), nnx.Linear(2, 2, rngs=nnx.Rngs(0)))

        def __call__(self, inputs):
            return inputs

    module = Nested()
    found = FirstOrderDataGenerator(module).get_posterior_distributions()
    assert list(found) == ["encoder.layers.0"]
    assert isinstance(found["encoder.layers.0"]["mu"], jax.Array)
    np.testing.assert_array_equal(found["encoder.layers.0"]["rho"], np.full(2, -3.0))
    assert found["encoder.layers.0"]["rho"] is not module.encoder.layers[0].weight_rho.get_value()

    arrays = [jnp.full(2, float(number)) for number in range(4)]
    found = FirstOrderDataGenerator(eqx.nn.Sequential([BayesEquinox(*arrays)])).get_posterior_distributions()
    assert {name: float(array[0]) for name, array in found["layers.0"].items()} == {
        "mu": 0.0, "rho": 1.0, "bias_mu": 2.0, "bias_rho": 3.0
    }  # fmt: skip


def test_posterior_of_linen_modules():
    class Bayes(nn.Module):
        def __call__(self, inputs):
            return inputs

    variables = {"params": {"dense": {"kernel_mu": jnp.zeros(2), "kernel_rho": jnp.ones(2)}}}
    found = FirstOrderDataGenerator(Bayes().bind(variables)).get_posterior_distributions()
    assert sorted(found["dense"]) == ["mu", "rho"]


def test_a_function_shows_no_posterior():
    with pytest.raises(ValueError, match="no Bayesian layer"):
        FirstOrderDataGenerator(jnp.tanh).get_posterior_distributions()
