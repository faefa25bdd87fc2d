"""Every framework and the store: weights that are told apart, datasets that are entered, shared memory."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator, FirstOrderDataset, StoreError, output_dataloader
from probly.data_generator.run.identity import SAMPLES
from probly.data_generator.store import open_store
from tests.store import stores
from tests.store.stores import Counting, Images, pointer, probed, shard

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    stores.run(tmp_path / "a.fod")
    return tmp_path / "a.fod"


def test_torch_shares_memory_with_a_private_map(path):
    import torch

    store, before = open_store(path), (path / "shards" / "000000000000-000000000010.safetensors").read_bytes()
    for positions, block in store.blocks(writable=True):
        tensor = torch.from_numpy(block)  # warns, and here fails, on memory that is read-only
        assert tensor.data_ptr() == pointer(block)
        assert tensor.data_ptr() % 64 == 0
        np.testing.assert_array_equal(tensor.numpy(), stores.EXPECTED.probabilities[positions.start : positions.stop])
        tensor[0] = 7
    assert stores.agrees(store)
    assert (path / "shards" / "000000000000-000000000010.safetensors").read_bytes() == before


def test_jax_shares_memory(path):
    import jax

    for writable in (False, True):
        for _, block in open_store(path).blocks(writable=writable):
            array = jax.device_put(block, may_alias=True)
            assert array.unsafe_buffer_pointer() == pointer(block)
            np.testing.assert_array_equal(np.asarray(array), block)


def test_tensorflow_shares_memory_with_a_private_map(path):
    import tensorflow as tf

    for _, block in open_store(path).blocks(writable=True):
        tensor = tf.experimental.dlpack.from_dlpack(block.__dlpack__())
        assert pointer(np.asarray(memoryview(tensor))) == pointer(block)


LOADER = """
    import sys
    import numpy as np
    import torch
    from probly.data_generator.store import open_store
    from probly.data_generator.torch_first_order_generator import FirstOrderDataset
    from tests.store import stores

    if __name__ == "__main__":
        base = torch.utils.data.TensorDataset(torch.from_numpy(stores.INPUTS), torch.from_numpy(stores.LABELS))
        dataset = FirstOrderDataset(base, open_store(sys.argv[1]))
        for how in sys.argv[2:]:
            options = {} if how == "none" else {"num_workers": 2, "multiprocessing_context": how}
            seen = []
            for inputs, labels, rows in torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True, **options):
                for sample, label, row in zip(inputs, labels, rows, strict=True):
                    (index,) = np.flatnonzero((stores.INPUTS == sample.numpy()).all(axis=1))
                    assert stores.LABELS[index] == label
                    assert row.numpy().tobytes() == stores.EXPECTED[index].tobytes()
                    seen.append(index)
            assert sorted(seen) == list(range(stores.ROWS))
            print(how)
"""


def test_torch_loaders(path):
    ways = ["none", "fork", "spawn"]
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(LOADER), path, *ways]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [word for word in done.stdout.split() if word in ways] == ways


def test_the_other_loaders(path):
    import jax

    from probly.data_generator.jax_first_order_generator import output_dataloader as jax_loader

    store = open_store(path)
    assert FirstOrderDataset(stores.DATA, store)[12][2].tobytes() == stores.EXPECTED[12].tobytes()
    for loader in (output_dataloader, jax_loader):
        rows = [batch[2] for batch in loader(stores.DATA, store, batch_size=8)]
        assert isinstance(rows[0], np.ndarray if loader is output_dataloader else jax.Array)
        assert np.concatenate(rows).tobytes() == stores.EXPECTED.probabilities.tobytes()


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "tensorflow"])
def test_no_backend_reads_again_what_is_published(tmp_path, backend):
    path = tmp_path / "a.fod"
    options = {"model": lambda inputs: inputs * 2.0, "output_mode": "logits", "backend": backend}
    before = np.asarray(stores.run(path, Images(), **options)).tobytes()
    shard(path, 4).unlink()
    shard(path, 3).unlink()
    again = Images()
    assert np.asarray(stores.run(path, again, **options)).tobytes() == before
    # The run begins where the store ends; another batch is for the probe.
    assert again.read == [*probed(), *range(30, 35), *range(5), *range(35, stores.ROWS)]


@pytest.mark.filterwarnings("ignore:.*cannot be seen")  # of the pipeline
@pytest.mark.parametrize("getter", [None, lambda sample: sample[0]])
def test_a_pipeline_of_samples_goes_on_where_the_store_ends(tmp_path, getter):
    import tensorflow as tf

    path, pipeline = tmp_path / "a.fod", tf.data.Dataset.from_tensor_slices(stores.DATA)
    options = {"model": lambda inputs: inputs * 2.0, "output_mode": "logits", "backend": "tensorflow"}
    options |= {"input_getter": getter, "batched": False}
    generator = stores.generator(**options)
    batches = generator.backend.hook.iterate_batches(
        dataset=pipeline, batch_size=5, input_getter=getter, index_getter=None, label_getter=None, batched=False,
        model=generator.loaded_model, start=30, stop=None,
    )  # fmt: skip
    assert batches.length == stores.ROWS
    found = list(batches)
    assert [batch.indices.tolist() for batch in found] == [
        list(range(start, min(start + 5, stores.ROWS))) for start in range(30, stores.ROWS, 5)
    ]
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in found]), stores.INPUTS[30:])
    before, counting = np.asarray(stores.run(path, pipeline, **options)).tobytes(), Counting()
    shard(path, 3).unlink()
    assert np.asarray(stores.run(path, pipeline, wrappers=[counting], **options)).tobytes() == before
    assert counting.rows == 5 + 10  # the probe comes first


def digest(backend, model):
    generator = FirstOrderDataGenerator(model, backend=backend)
    return generator.backend.hook.weight_digest(model=generator.loaded_model)


def torch_model(seed):
    import torch

    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3)).bfloat16()


def nnx_model(seed):
    from flax import nnx

    return nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(seed)), nnx.Dropout(0.5, rngs=nnx.Rngs(9)))


def equinox_model(seed):
    import equinox
    import jax

    return equinox.nn.MLP(3, 3, 4, 1, key=jax.random.key(seed))


def keras_model(seed):
    import keras

    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(3)])


@pytest.mark.parametrize(
    ("backend", "build"),
    [
        ("numpy", stores.Linear),
        ("torch", torch_model),
        ("jax", nnx_model),
        ("jax", equinox_model),
        ("tensorflow", keras_model),
    ],
)
def test_weights_are_told_apart_in_every_framework(backend, build):
    assert digest(backend, build(0)).startswith("sha256:")
    assert digest(backend, build(0)) == digest(backend, build(0))
    assert digest(backend, build(0)) != digest(backend, build(1))


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax", "tensorflow"])
def test_a_function_is_known_by_its_code_and_what_it_closes_over(backend):
    digests = [digest(backend, (lambda rows, by=by: rows * by)) for by in (1.0, 1.0, 2.0)]
    assert digests[0] == digests[1] != digests[2]
    assert digest(backend, np.tanh.reduce) == "not seen"


def test_a_tensor_dataset_of_torch_is_told_apart_exactly(tmp_path):
    import torch

    inputs, labels = torch.zeros(SAMPLES * 50, 3), torch.zeros(SAMPLES * 50, dtype=torch.int64)
    options = {"model": lambda rows: rows * 2.0, "backend": "torch", "output_mode": "logits", "shard_megabytes": 1}
    dataset = torch.utils.data.TensorDataset(inputs, labels)
    stores.run(tmp_path / "a.fod", dataset, **options)
    stores.run(tmp_path / "a.fod", torch.utils.data.DataLoader(dataset, batch_size=7), **options)
    for tensor in (labels, inputs):
        tensor[17] = 1  # not among the samples
        with pytest.raises(StoreError, match=r"dataset data.*: the store has 'sha256"):
            stores.run(tmp_path / "a.fod", dataset, **options)
        tensor[17] = 0
    stores.run(tmp_path / "a.fod", dataset, **options)
