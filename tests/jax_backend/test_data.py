"""Datasets and loaders: JAX and NumPy arrays, samples, loaders of others, and memory that is used again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probly.data_generator import AlignmentError, SimpleDataLoader
from probly.data_generator.jax_first_order_generator import JaxDataLoader
from probly.data_generator.testing import reference
from tests.conftest import BACKENDS
from tests.jax_backend.runs import FIRST, INPUTS, LABELS, batches, check, module, run, softmax_of


@pytest.fixture(scope="module")
def mlp():
    return module()


@pytest.mark.parametrize("arrays", [jnp.asarray, np.asarray])
@pytest.mark.parametrize("kind", ["tuple", "list", "iterable", "simple", "jax"])
def test_datasets(arrays, kind, mlp):
    inputs, labels = arrays(INPUTS), arrays(LABELS)
    samples = list(zip(inputs, labels, strict=True))
    dataset = {
        "tuple": lambda: (inputs, labels),
        "list": lambda: samples,
        "iterable": lambda: iter(samples),
        "simple": lambda: SimpleDataLoader((inputs, labels), 16, shuffle=True),
        "jax": lambda: JaxDataLoader(samples, 16, shuffle=True),
    }[kind]()
    distributions = run(mlp, dataset)
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS)


if "torch" in BACKENDS:

    @pytest.mark.parametrize("shuffle", [False, True])
    def test_torch_loaders(shuffle, mlp):
        from torch import tensor
        from torch.utils.data import DataLoader, TensorDataset

        loader = DataLoader(TensorDataset(tensor(INPUTS), tensor(LABELS)), 16, shuffle=shuffle)
        distributions = run(mlp, loader)
        check(distributions)
        np.testing.assert_array_equal(distributions.labels, LABELS)


def test_indexing_that_clamps_is_never_asked_beyond_the_end():
    class Endless:
        def __getitem__(self, index):
            return jnp.asarray(INPUTS)[index], 0

    with pytest.raises(TypeError, match="give it __len__"):
        run(jnp.tanh, Endless())
    with pytest.raises(AlignmentError):
        run(jnp.tanh, {1, 2})


def test_arrays_in_host_memory_are_sliced_and_not_copied():
    array = jnp.asarray(INPUTS)
    (first, *_) = batches((array, jnp.asarray(LABELS)))
    assert type(first.inputs) is np.ndarray
    assert np.shares_memory(first.inputs, np.asarray(array))
    np.testing.assert_array_equal(first.labels, LABELS[:16])


def test_an_input_getter_gets_jax_arrays():
    seen = []

    def pick(sample):
        seen.append(type(sample[0]))
        return 2 * sample[0]

    (first, *_) = batches((jnp.asarray(INPUTS[:3]), jnp.asarray(LABELS[:3])), input_getter=pick)
    assert all(issubclass(kind, jax.Array) for kind in seen)
    assert len(seen) == 3
    np.testing.assert_array_equal(first.inputs, 2 * INPUTS[:3])


@pytest.mark.parametrize("kind", ["arrays", "samples", "loader"])
def test_nobody_reads_past_the_stop(kind):
    class Watched:
        def __len__(self):
            return 50

        def __getitem__(self, index):
            read.append(index)
            return jnp.asarray(INPUTS[index]), LABELS[index]

    read = []
    dataset = {"arrays": (jnp.asarray(INPUTS), LABELS), "samples": Watched(), "loader": JaxDataLoader(Watched(), 16)}[
        kind
    ]
    found = batches(dataset, 16, start=0, stop=20)
    assert found.length == 50
    assert [batch.indices.tolist() for batch in found] == [list(range(16)), list(range(16, 20))]
    assert max(read, default=0) < 20


def test_a_loader_that_fills_one_buffer_again_and_again_gives_the_rows_of_each_batch():
    class Reusing(SimpleDataLoader):
        def __init__(self):
            super().__init__(INPUTS, 10)
            self.buffer = np.empty((10, 5), np.float32)

        def collate(self, indices):
            self.buffer[:] = INPUTS[indices]
            return self.buffer

    weight = jnp.asarray(FIRST)
    check(run(lambda batch: batch @ weight, Reusing(), output_mode="logits"), softmax_of(FIRST))


class Reader:
    """An array of another library, which reads every slice into the same memory."""

    dtype, shape = np.dtype(np.float32), (50, 5)

    def __init__(self):
        self.memory = np.empty((5, 5), np.float32)

    def __len__(self):
        return 50

    def __getitem__(self, rows):
        part = INPUTS[rows]
        self.memory[: len(part)] = part
        return self.memory[: len(part)]


def test_arrays_that_read_into_one_buffer_are_copied_before_the_next_slice():
    matrix = np.eye(500, dtype=np.float32)

    def slow(batch):
        wide = jnp.tile(batch, (1, 100))
        for _ in range(20):
            wide = wide @ matrix
        return wide[:, :5]

    check(run(slow, Reader(), batch_size=5, output_mode="logits"), reference.softmax(INPUTS))
