"""Reading datasets: batches or samples, their lengths and labels, and what is no pipeline."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import AlignmentError
from tests.tf_backend.mlp import (
    EXPECTED,
    HOOK,
    INPUTS,
    LABELS,
    built_subclass,
    check,
    keras_model,
    logits,
    run,
    samples,
)


def test_batches_and_samples_are_told_apart_by_the_models_input():
    for model in (keras_model(), built_subclass()):
        for batch_size in (1, 7, 50):
            check(run(model, samples().batch(batch_size)))
            check(run(model, samples(), batch_size=batch_size))
        check(run(model, samples().batch(25, drop_remainder=True)))
        check(run(model, samples().map(lambda value, label: value)))
        check(run(model, samples().batch(8).map(lambda value, label: value)))


def unknown_shapes(dataset):
    """Return a dataset whose specification says nothing, as that of a py_function."""
    return dataset.map(lambda *parts: tuple(tf.numpy_function(lambda x: x, [part], part.dtype) for part in parts))


def test_an_element_tells_where_the_specification_does_not():
    for dataset in (samples(), samples().batch(8)):
        check(run(keras_model(), unknown_shapes(dataset)))


def test_a_label_without_axes_belongs_to_a_sample():
    check(run(logits, samples()))
    check(run(logits, samples(), batch_size=1))


@pytest.mark.parametrize("dataset", ["batches", "inputs", "one-hot"])
def test_what_cannot_be_told_is_refused(dataset):
    made = {
        "batches": samples().batch(8),
        "inputs": tf.data.Dataset.from_tensor_slices(INPUTS),
        "one-hot": tf.data.Dataset.from_tensor_slices((INPUTS, np.eye(3)[LABELS])),
    }[dataset]
    with pytest.raises(ValueError, match=r"cannot tell whether.*declares no input shape.*pass batched="):
        run(logits, made)
    check(run(logits, made, batched=dataset == "batches"))


def test_a_dataset_that_fits_the_model_in_neither_way_is_refused():
    images = tf.data.Dataset.from_tensor_slices(np.zeros((4, 2, 3, 5), np.float32))
    with pytest.raises(ValueError, match=r"declares a sample as .*\(5,\).*yields .*3, 5.*pass batched="):
        run(keras_model(), images)


def test_an_unknown_first_axis_is_no_sample():
    """A batch of numbers for a model that takes samples of one number."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    numbers = tf.data.Dataset.from_tensor_slices(INPUTS[:, 0]).batch(8)
    with pytest.raises(ValueError, match="cannot tell whether"):
        run(model, numbers)
    assert len(run(model, numbers.map(lambda batch: batch[:, None]))) == 50


def test_getters_get_samples_or_batches():
    dataset = tf.data.Dataset.from_tensor_slices({"image": INPUTS / 2, "target": LABELS, "id": np.arange(50)[::-1]})
    options = {"input_getter": lambda item: 2 * item["image"], "index_getter": lambda item: item["id"]}
    for made in (dataset, dataset.batch(8), dataset.shuffle(50), dataset.shuffle(50).batch(8)):
        check(run(keras_model(), made, **options), EXPECTED[::-1])


def test_labels_stay_with_their_rows():
    for dataset in (samples(), samples().batch(8)):
        np.testing.assert_array_equal(run(keras_model(), dataset).labels, LABELS)


def batches_of(dataset, *, batched=None, start=0, stop=None, **getters):
    """Return the batches of a dataset for a model that tells its input shape."""
    return HOOK.iterate_batches(
        dataset=dataset,
        batch_size=16,
        input_getter=getters.get("input_getter"),
        index_getter=getters.get("index_getter"),
        label_getter=getters.get("label_getter"),
        batched=batched,
        model=HOOK.load_model(source=keras_model(), device=None, options={}),
        start=start,
        stop=stop,
    )


@pytest.mark.parametrize(
    ("dataset", "length"),
    [
        (samples(), 50),
        (samples().batch(8), 50),
        (samples().take(12).batch(8).map(lambda value, label: value), 12),
        (samples().batch(10, drop_remainder=True).prefetch(1), 50),
        (samples().batch(10, drop_remainder=True).take(2), 20),
        (samples().batch(8, drop_remainder=True).unbatch().take(20), 20),
        (samples().filter(lambda value, label: label > 0), None),
        (samples().batch(8).take(2), None),
    ],
)
def test_announced_lengths_count_rows_not_batches(dataset, length, monkeypatch):
    monkeypatch.setattr(tf.data.Dataset, "unbatch", None)  # which traces a function to say the same
    batches = batches_of(dataset)
    assert batches.length == length
    assert length is None or sum(len(batch.indices) for batch in batches) == length


@pytest.mark.parametrize(
    ("dataset", "rows"),
    [
        (lambda: samples().batch(8, drop_remainder=True), 48),
        (lambda: samples().batch(8, drop_remainder=True).prefetch(1).cache(), 48),
        (lambda: samples().batch(8, drop_remainder=True).unbatch(), 48),
        (lambda: samples().batch(25).repeat(2), 100),
        (lambda: samples().repeat(2).batch(8, drop_remainder=True), 96),
        (lambda: samples().repeat(2), 100),
    ],
)
def test_dropped_remainders_and_repetitions_are_reported(dataset, rows):
    with pytest.warns(UserWarning, match=f"generated {rows} distributions, but dataset length is 50"):
        assert len(run(keras_model(), dataset())) == rows


def watched(read):
    """Return a pipeline of samples that notes the labels of those that are read."""

    def look(value, label, index):
        tf.py_function(lambda number: read.append(int(number)), [index], [])
        return value, label

    return tf.data.Dataset.from_tensor_slices((INPUTS, LABELS, np.arange(50))).map(look)


@pytest.mark.parametrize("stop", [0, 1, 16, 21, 50, 99])
@pytest.mark.parametrize("kind", ["samples", "getter", "batches", "py dataset", "tensors"])
def test_rows_from_stop_on_are_neither_given_nor_read(kind, stop):
    read = []
    getters = {"input_getter": lambda sample: sample[0]} if kind == "getter" else {}
    dataset = {
        "samples": lambda: watched(read),
        "getter": lambda: watched(read),
        "batches": lambda: samples().batch(8),
        "py dataset": Batches,
        "tensors": lambda: (tf.constant(INPUTS), tf.constant(LABELS)),
    }[kind]()
    found = list(batches_of(dataset, stop=stop, **getters))
    wanted = min(stop, 50)
    for name, expected in (("indices", np.arange(50)), ("inputs", INPUTS), ("labels", LABELS)):
        parts = [np.asarray(getattr(batch, name)) for batch in found]
        assert sum(map(len, parts)) == wanted
        if parts:
            np.testing.assert_array_equal(np.concatenate(parts), expected[:wanted])
    # With a getter, the first sample is looked at to tell samples from batches.
    assert max(read, default=0) < max(stop, 1)


@pytest.mark.parametrize("make", [samples, lambda: list(zip(INPUTS, LABELS, strict=True)), lambda: INPUTS])
def test_a_later_run_starts_where_it_is_told(make):
    found = list(batches_of(make(), start=32, stop=49))
    np.testing.assert_array_equal(np.concatenate([batch.indices for batch in found]), np.arange(32, 49))
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in found]), INPUTS[32:49])


@pytest.mark.parametrize("batch_size", [None, 8])
def test_rows_are_found_wherever_they_are(batch_size):
    order = np.random.default_rng(0).permutation(50)
    dataset = tf.data.Dataset.from_tensor_slices((INPUTS[order], LABELS[order], order))
    made = dataset.batch(batch_size) if batch_size else dataset
    batches = batches_of(made, start=16, stop=30, index_getter=lambda item: item[2], batched=batch_size is not None)
    found = [batch for batch in batches if len(batch.indices)]
    indices = np.concatenate([batch.indices for batch in found])
    assert indices.tolist() == [index for index in order if index < 30], "their places do not say which to leave out"
    np.testing.assert_array_equal(np.concatenate([batch.inputs for batch in found]), INPUTS[indices])
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in found]), LABELS[indices])


def test_empty_pipelines():
    empty = samples().take(0)
    for dataset in (empty, empty.batch(8)):
        assert len(run(keras_model(), dataset)) == 0


def test_samples_of_different_shapes_say_what_to_do():
    ragged = tf.data.Dataset.from_generator(
        lambda: (np.zeros((length, 2), np.float32) for length in (3, 3, 4)),
        output_signature=tf.TensorSpec([None, 2]),
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="different shapes") as caught:
        run(lambda batch: tf.reduce_sum(batch, axis=1), ragged, batched=False)
    assert "bring them to one shape" in caught.value.__notes__[0]
    check(run(lambda batch: tf.reduce_sum(batch, axis=1), ragged, batched=False, batch_size=1), np.full((3, 2), 0.5))


# Other datasets


class Batches(keras.utils.PyDataset):
    """Keras's own kind of loader."""

    def __init__(self, **attributes):
        super().__init__()
        vars(self).update(attributes)

    def __len__(self):
        return 7

    def __getitem__(self, number):
        part = slice(8 * number, 8 * number + 8)
        return INPUTS[part], LABELS[part]


def test_py_datasets_are_loaders_of_batches():
    rows = run(keras_model(), Batches())
    check(rows)
    np.testing.assert_array_equal(rows.labels, LABELS)
    check(run(keras_model(), Batches(shuffle=False)))


def test_py_datasets_that_shuffle_need_an_index():
    with pytest.raises(AlignmentError, match=r"the Batches shuffles.*shuffle=False, or index_getter"):
        run(keras_model(), Batches(shuffle=True))

    def position(batch):
        return [int(np.argmin(np.abs(INPUTS - value).sum(axis=1))) for value in batch[0]]

    check(run(keras_model(), Batches(shuffle=True), index_getter=position))


def test_py_datasets_without_length_are_refused():
    class Endless(keras.utils.PyDataset):
        num_batches = None

        def __getitem__(self, number):
            return INPUTS, LABELS

    with pytest.raises(ValueError, match="the Endless has no length and never ends; give it __len__"):
        run(keras_model(), Endless())


@pytest.mark.parametrize(
    "dataset",
    [
        INPUTS,
        tf.constant(INPUTS),
        (tf.constant(INPUTS), tf.constant(LABELS)),
        (INPUTS, LABELS.tolist()),
        [(tf.constant(value), int(label)) for value, label in zip(INPUTS, LABELS, strict=True)],
        INPUTS.tolist(),
    ],
    ids=["array", "tensor", "tensors", "array and list", "sequence of tensors", "lists"],
)
def test_arrays_and_sequences(dataset):
    check(run(keras_model(), dataset))


def test_generators():
    check(run(keras_model(), (pair for pair in zip(INPUTS, LABELS, strict=True))))
