"""Datasets and loaders that pair samples with their distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from probly.data_generator.jax_first_order_generator import (
    FirstOrderDataset,
    JAXDataGenerator,
    JaxDataLoader,
    output_dataloader,
    prepares_batch_inp,
)
from probly.data_generator.testing import reference
from tests.jax_backend.runs import EXPECTED, INPUTS, LABELS, WEIGHTS, module


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
    distributions = dict(enumerate(EXPECTED))
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
    del distributions[7]
    with pytest.raises(KeyError, match="No distribution for index 7"):
        output_dataloader((INPUTS, LABELS), distributions)


def test_first_order_dataset_gives_jax_arrays():
    value, label, row = FirstOrderDataset([(jnp.ones(2), 1)], {0: [0.25, 0.75]})[0]
    assert isinstance(row, jax.Array)
    assert row.dtype == jnp.float32
    assert (float(value[0]), label) == (1.0, 1)
    assert prepares_batch_inp((1, 2)) == 1
    with pytest.raises(IndexError, match="out of range"):  # where the arrays themselves would clamp
        FirstOrderDataset((jnp.asarray(INPUTS), jnp.asarray(LABELS)), dict(enumerate(EXPECTED)))[50]


def test_the_bound_generator():
    report = JAXDataGenerator(module(), (INPUTS, LABELS)).generate(progress=False)
    assert report["info"]["framework"] == "jax"
    assert report["metrics"]["accuracy"] == np.mean(EXPECTED.argmax(axis=1) == LABELS)
