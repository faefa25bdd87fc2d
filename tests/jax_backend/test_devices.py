"""Devices by name, arrays on their way to them and back, and several devices at once."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probly.data_generator import HOST
from tests.jax_backend.runs import generator, put, python


def test_unavailable_devices_are_refused_with_the_list():
    for name in ("tpu", "cpu:9", "cpu:-1", "cpu:x", "mars", ""):
        with pytest.raises(ValueError, match=rf"device '{name}' is not available to jax \S+; available: 'cpu'"):
            generator(jnp.tanh, device=name)


def test_device_names():
    for name in (None, "cpu", "cpu:0", "CPU"):
        assert generator(jnp.tanh, device=name).current_device == "cpu"


class Foreign:
    """An array of some other library."""

    def __array__(self, dtype=None, copy=None):
        return np.arange(3)


def test_to_device_takes_arrays_of_any_library():
    nest = {"foreign": Foreign(), "half": np.ones(2, np.float16), "wide": np.ones(2), "text": np.array(["a"])}
    moved = put({**nest, "flag": np.array([True]), "bf16": jnp.ones(2, jnp.bfloat16)})
    dtypes = {name: str(value.dtype) for name, value in moved.items()}
    assert dtypes == {
        "foreign": "int32", "half": "float16", "wide": "float32", "text": "<U1", "flag": "bool", "bf16": "bfloat16"
    }  # fmt: skip
    assert nest["wide"].dtype == np.float64
    hosted = put({**moved, "foreign": Foreign(), "key": jax.random.key(0)}, HOST)
    kinds = {name: type(value) for name, value in hosted.items()}
    assert issubclass(kinds.pop("key"), jax.Array)
    assert set(kinds.values()) == {np.ndarray}
    assert (hosted["half"].dtype, hosted["bf16"].dtype) == (np.float32, np.float32)


def test_pytrees_in_a_nest_are_looked_into():
    moved = put([jax.tree_util.Partial(jnp.tanh, np.ones(2)), 3, None])
    assert isinstance(moved[0].args[0], jax.Array)
    assert moved[1:] == [3, None]
    assert isinstance(put(moved, HOST)[0].args[0], np.ndarray)


@pytest.mark.parametrize("values", [np.ones((16, 5), np.float32), np.full((16, 5), "one")])
def test_what_can_be_written_to_is_copied(values):
    """JAX may keep NumPy memory instead of copying it, if that is aligned."""
    memory = np.zeros(values.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    buffer = memory[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    buffer[:] = values
    moved = put(buffer)
    buffer[:] = np.zeros(1, values.dtype)
    np.testing.assert_array_equal(np.asarray(moved), values)


def test_a_jax_array_that_is_there_already_stays():
    array = jnp.ones(3)
    assert put(array) is array


@pytest.fixture(scope="module")
def four():
    """Return what four_devices.py found."""
    (line,) = python("-m", "tests.jax_backend.four_devices", XLA_FLAGS="--xla_force_host_platform_device_count=4")
    return json.loads(line)


def test_the_rows_are_the_same_on_every_device_and_on_all_together(four):
    assert len(four["rows"]) == 12
    assert {name: miss for name, miss in four["rows"].items() if miss > 1e-6} == {}


def test_a_model_stays_where_its_weights_are(four):
    assert four["stays"] == {
        "module": "cpu",
        "module on cpu:2": "cpu:2",
        "module on all": "cpu:all",
        "module on two of four": "cpu",
        "function": "cpu",
        "name": "cpu",
        "function under default_device": "cpu:3",
    }


def test_batches_are_padded_to_what_the_devices_share_evenly(four):
    assert four["shapes"]["traces"] == [[8, 5], [8, 5]], "one trace per run"
    assert four["shapes"]["compiled"] == 1
    assert four["shapes"]["miss"] <= 1e-6


def test_the_rows_of_a_batch_are_divided_and_the_weights_are_not(four):
    sharing = four["sharing"]
    assert sharing["full"] == [[4, 3]] * 4
    assert sharing["ragged"] == [10, 3]
    assert set(sharing["weights"]) == {4}
    assert sharing["the user's"] == [0]


def test_arrays_go_where_they_should(four):
    assert four["sharing"]["cpu:2"] == [2]
    assert four["sharing"]["cpu:1, no weights"] == [1]
    assert four["sharing"]["from cpu:1 to cpu:3"] == [3]


def test_the_devices_are_listed(four):
    assert four["available"] == ["cpu", "cpu:1", "cpu:2", "cpu:3", "cpu:all"]
    assert four["refusal"].endswith("available: 'cpu', 'cpu:1', 'cpu:2', 'cpu:3', 'cpu:all'")
