"""Datasets paired with distributions, and students that are trained on them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import AlignmentError
from probly.data_generator.tensorflow_generator import FirstOrderDataset, output_dataloader
from probly.data_generator.testing import reference
from tests.tf_backend.mlp import INPUTS, LABELS, keras_model, run, samples


@pytest.fixture
def distributions():
    return run(keras_model(), samples())


def unbatched_again():
    return samples().batch(8).unbatch()  # of unknown length


KINDS = {
    "pipeline": samples,
    "pipeline of unknown length": unbatched_again,
    "arrays": lambda: (INPUTS, LABELS),
    "tensors": lambda: (tf.constant(INPUTS), tf.constant(LABELS)),
    "sequence": lambda: list(zip(INPUTS, LABELS, strict=True)),
}


def gathered(loader):
    return [np.concatenate(part) for part in zip(*loader.as_numpy_iterator(), strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_output_dataloader(kind, distributions):
    loader = output_dataloader(KINDS[kind](), distributions, batch_size=8)
    assert isinstance(loader, tf.data.Dataset)
    assert len(loader) == 7
    assert [spec.shape.as_list() for spec in loader.element_spec] == [[None, 5], [None], [None, 3]]
    for part, expected in zip(gathered(loader), (INPUTS, LABELS, distributions.probabilities), strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_output_dataloader_shuffles_anew_and_keeps_pairs(kind, distributions):
    orders = []
    for _ in range(2):
        loader = output_dataloader(KINDS[kind](), distributions, batch_size=8, shuffle=True, seed=3)
        for _ in range(2):
            inputs, labels, rows = gathered(loader)
            order = [int(np.argmin(np.abs(INPUTS - value).sum(axis=1))) for value in inputs]
            assert sorted(order) == list(range(50))
            np.testing.assert_array_equal(labels, LABELS[order])
            np.testing.assert_array_equal(rows, distributions.probabilities[order])
            orders.append(order)
    assert orders[0] != orders[1] != list(range(50))
    assert orders[:2] == orders[2:], "a seed makes the orders reproducible"


def test_output_dataloader_reads_memory_maps_batch_by_batch(tmp_path, distributions):
    np.save(tmp_path / "inputs.npy", INPUTS)
    loader = output_dataloader((np.load(tmp_path / "inputs.npy", mmap_mode="r"), LABELS), distributions, batch_size=8)
    np.testing.assert_array_equal(gathered(loader)[0], INPUTS)
    assert "_TensorSliceDataset" not in steps(loader)
    assert "_TensorSliceDataset" in steps(output_dataloader(INPUTS, distributions))


def steps(dataset):
    found, waiting = [], [dataset]
    while waiting:
        step = waiting.pop()
        found.append(type(step).__name__)
        waiting += step._inputs()
    return found


def test_output_dataloader_trains_a_student(distributions):
    student = keras_model(reference.mlp_weights(seed=3))
    student.compile(keras.optimizers.Adam(0.01), keras.losses.CategoricalCrossentropy(from_logits=True))
    pairs = output_dataloader(samples(), distributions, batch_size=8, shuffle=True).map(lambda x, y, row: (x, row))
    before = student.evaluate(pairs, verbose=0)
    student.fit(pairs, epochs=10, shuffle=False, verbose=0)
    assert student.evaluate(pairs, verbose=0) < 0.9 * before


def test_input_getters_and_missing_labels(distributions):
    named = tf.data.Dataset.from_tensor_slices({"image": INPUTS})
    loader = output_dataloader(named, distributions, input_getter=lambda sample: 2 * sample["image"])
    inputs, rows = gathered(loader)
    np.testing.assert_array_equal(inputs, 2 * INPUTS)
    np.testing.assert_array_equal(rows, distributions.probabilities)


def test_output_dataloader_ignores_workers_aloud(distributions):
    with pytest.warns(UserWarning, match="num_workers and pin_memory are ignored: tf.data"):
        output_dataloader(samples(), distributions, num_workers=2)


@pytest.mark.parametrize("make", [FirstOrderDataset, output_dataloader])
def test_pipelines_that_cannot_be_paired(make, distributions):
    with pytest.raises(AlignmentError, match=r"yields 7 elements, but there are 50.*unbatch\(\)"):
        make(samples().batch(8), distributions)
    with pytest.raises(AlignmentError, match="no defined order"):
        make(samples().shuffle(5), distributions)
    with pytest.raises(ValueError, match="never ends"):
        make(samples().repeat(), distributions)


def test_pipelines_with_samples_that_have_no_distribution(distributions):
    with pytest.raises(KeyError, match="No distribution for index 50"):
        output_dataloader(samples().repeat(2), distributions)


def test_first_order_dataset_of_a_pipeline(distributions):
    dataset = FirstOrderDataset(unbatched_again(), distributions)
    value, label, row = dataset[49]
    assert len(dataset) == 50
    np.testing.assert_array_equal(value, INPUTS[49])
    assert label == LABELS[49]
    assert row.dtype == tf.float32
    np.testing.assert_array_equal(row, distributions[49])


def test_empty_soft_targets():
    assert list(output_dataloader([], {}, batch_size=2)) == []
    assert list(output_dataloader(samples().take(0), {}, shuffle=True)) == []
