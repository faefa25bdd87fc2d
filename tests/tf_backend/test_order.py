"""Whether a pipeline has one order, and an end."""

import datasets
import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import AlignmentError, FirstOrderDataGenerator
from tests.tf_backend.mlp import EXPECTED, check, keras_model, run, samples


def deterministic_off(dataset):
    options = tf.data.Options()
    options.deterministic = False
    return dataset.with_options(options)


def hugging_face(shuffle, workers=0):
    values, labels = (np.stack(column) for column in zip(*samples().as_numpy_iterator(), strict=True))
    rows = datasets.Dataset.from_dict({"x": values.tolist(), "label": labels.tolist()})
    return rows.to_tf_dataset(columns="x", label_cols="label", batch_size=8, shuffle=shuffle, num_workers=workers)


UNORDERED = {
    "shuffle": lambda: samples().shuffle(50),
    "shuffle with a seed, once": lambda: samples().shuffle(50, seed=1, reshuffle_each_iteration=False),
    "shuffle, batch, prefetch": lambda: samples().shuffle(50).batch(8).prefetch(2),
    "batches shuffled": lambda: samples().batch(8).shuffle(8),
    "shuffle before a cache": lambda: samples().shuffle(50).cache(),
    "a shuffled part": lambda: samples().take(25).concatenate(samples().skip(25).shuffle(5)),
    "zip": lambda: tf.data.Dataset.zip((samples().shuffle(5), samples())).map(lambda pair, other: pair),
    "options": lambda: deterministic_off(samples()).batch(8),
    "parallel map": lambda: samples().map(lambda *pair: pair, num_parallel_calls=2, deterministic=False),
    "shuffle inside": lambda: tf.data.Dataset.range(2).interleave(lambda _: samples().take(25).shuffle(5)),
    "groups": lambda: samples().group_by_window(lambda _, label: label, lambda _, group: group.batch(8), window_size=8),
    "indices shuffled": lambda: hugging_face(shuffle=True),
    "shuffled by workers": lambda: hugging_face(shuffle=True, workers=2),
    "sampling": lambda: tf.data.Dataset.sample_from_datasets([samples().take(25), samples().skip(25)], [0.5, 0.5]),
}


@pytest.mark.parametrize("kind", UNORDERED)
def test_pipelines_without_order_are_refused(kind):
    with pytest.raises(AlignmentError, match=r"no defined order \(.*\), so its rows have no index.*index_getter"):
        run(keras_model(), UNORDERED[kind]())


def halves(index):
    return samples().skip(25 * index).take(25)


ORDERED = {
    "cache and prefetch": lambda: samples().cache().batch(8).prefetch(2),
    "parallel map": lambda: samples().map(lambda *pair: pair, num_parallel_calls=2),
    "flat map": lambda: tf.data.Dataset.range(2).flat_map(halves),
    "Hugging Face": lambda: hugging_face(shuffle=False),
    "a generator": lambda: tf.data.Dataset.from_generator(
        samples().as_numpy_iterator, output_signature=samples().element_spec
    ).prefetch(2),
    "interleave of one": lambda: tf.data.Dataset.range(2).interleave(halves, cycle_length=1, num_parallel_calls=1),
    "choice": lambda: tf.data.Dataset.choose_from_datasets(
        [samples().take(25), samples().skip(25)], tf.data.Dataset.range(50).map(lambda index: index // 25)
    ),
    "random numbers beside": lambda: tf.data.Dataset.zip((samples(), tf.data.Dataset.random(seed=1).take(50))).map(
        lambda pair, number: pair
    ),
    "random operations inside": lambda: samples().map(lambda value, label: (value, tf.random.shuffle([label])[0])),
}


@pytest.mark.parametrize("kind", ORDERED)
def test_pipelines_with_order_are_not(kind):
    check(run(keras_model(), ORDERED[kind]()))


@pytest.mark.parametrize("backend", ["jax", "numpy"])
@pytest.mark.parametrize("wrap", [lambda dataset: dataset, iter, lambda dataset: dataset.as_numpy_iterator()])
def test_so_they_are_on_every_backend(backend, wrap):
    indexed = tf.data.Dataset.from_tensor_slices((EXPECTED, np.arange(50)))
    generator = FirstOrderDataGenerator(lambda batch: batch, output_mode="probs", backend=backend)
    with pytest.raises(AlignmentError, match=r"no defined order \(ShuffleDataset\), so its rows.*index_getter"):
        generator.generate_distributions(wrap(indexed.shuffle(50, seed=1)), progress=False)
    generator.index_getter = lambda sample: int(sample[1])
    check(generator.generate_distributions(wrap(indexed.shuffle(50, seed=1)), progress=False))
    generator.index_getter = None
    check(generator.generate_distributions(wrap(indexed.cache()), progress=False))


@pytest.mark.parametrize("backend", ["jax", "numpy"])
def test_so_are_endless_ones_and_what_is_dropped_is_reported(backend):
    rows = tf.data.Dataset.from_tensor_slices(EXPECTED)
    generator = FirstOrderDataGenerator(lambda batch: batch, output_mode="probs", backend=backend, batched=True)
    for batched in (True, None):
        generator.batched = batched
        with pytest.raises(ValueError, match=r"RepeatDataset never ends; leave out repeat\(\)"):
            generator.generate_distributions(rows.batch(8).repeat(), progress=False)
    generator.batched = True
    with pytest.warns(UserWarning, match="generated 48 distributions, but dataset length is 50"):
        generator.generate_distributions(rows.batch(8, drop_remainder=True), progress=False)
    generator.batched = False
    with pytest.warns(UserWarning, match="generated 100 distributions, but dataset length is 50"):
        generator.generate_distributions(rows.repeat(2), progress=False)


def test_endless_pipelines_are_refused():
    for dataset in (samples().repeat(), samples().batch(8).repeat().prefetch(1)):
        with pytest.raises(ValueError, match=r"never ends; leave out repeat\(\), or cut it with take"):
            run(keras_model(), dataset)
    with pytest.warns(UserWarning, match="generated 100 distributions, but dataset length is 50"):
        check(run(keras_model(), samples().repeat(2)), np.vstack([EXPECTED, EXPECTED]))


def test_iterators_are_refused():
    with pytest.raises(TypeError, match=r"expected a tf\.data\.Dataset, got a OwnedIterator made from one"):
        run(keras_model(), iter(samples()))
