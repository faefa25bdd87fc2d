"""Reading datasets for a run: tf.data pipelines, Keras's PyDataset, and what the core knows."""

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.batches import iterate_batches
from probly.data_generator.toolkit.order import check_order
from probly.data_generator.toolkit.parts import Getter, split_sample
from probly.data_generator.toolkit.pipelines import source_rows
from probly.data_generator.toolkit.samples import Batch, Batches, check_batch_size
from probly_data_generator_tensorflow.generators import generators_of

Shapes = Mapping[str, tuple[int | None, ...]]


def tf_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    input_shapes: Shapes,
    start: int = 0,
    stop: int | None = None,
    label_getter: Getter | None = None,
) -> Batches:
    """Iterate over anything that TensorFlow users call a dataset.

    Args:
        dataset: A tf.data.Dataset of samples or batches, a Keras PyDataset, tensors, or anything the core reads.
        batch_size: Rows per batch; what comes in batches keeps its own.
        input_getter: See the hook.
        index_getter: See the hook.
        batched: See the hook.
        input_shapes: The shape of one sample by input name, as far as the model tells.
        start: See the hook; pipelines of samples, arrays and sequences begin there.
        stop: See the hook; a pipeline of batches may prefetch in threads of its own.
        label_getter: See the hook.
    """
    batch_size = check_batch_size(batch_size)
    if isinstance(dataset, tf.data.Dataset):
        check_order(dataset, index_getter)
        for generator in generators_of(dataset):
            check_order(generator, index_getter)
        if batched is None:
            batched = is_batched(dataset, input_getter, input_shapes, label_getter)
        if batched:
            return iterate_batches(
                dataset, batch_size, input_getter, index_getter, batched=True, stop=stop, label_getter=label_getter
            )
        return _samples(dataset, batch_size, input_getter, index_getter, start, stop, label_getter)
    if isinstance(dataset, tf.data.Iterator | tf.distribute.DistributedDataset):
        message = f"expected a tf.data.Dataset, got a {type(dataset).__name__} made from one; pass the dataset itself"
        raise TypeError(message)
    if _is_py_dataset(dataset) and batched is not False:
        items = _py_batches(dataset, index_getter)
        return iterate_batches(
            items, batch_size, input_getter, index_getter, batched=True, stop=stop, label_getter=label_getter
        )
    return iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, label_getter)


def is_batched(
    dataset: tf.data.Dataset, input_getter: Getter | None, input_shapes: Shapes, label_getter: Getter | None = None
) -> bool:
    """Return whether the elements are batches: judged by the model's input shape, then by a label without axes.

    Raises:
        ValueError: Neither tells.
    """
    # A getter cannot be asked about a specification, which is no sample.
    spec = dataset.element_spec
    inputs = spec if input_getter is not None else split_sample(spec, label_getter=label_getter and _no_label)[0]
    label = None if label_getter is not None else split_sample(spec, input_getter and _whole)[1]
    verdict = _fits(inputs, input_shapes) if input_getter is None else None
    if verdict is None and input_shapes:
        # The specification of an element may know fewer axes than the element, and no getter can be asked about it.
        for element in dataset.take(1):
            inputs = split_sample(element, input_getter, label_getter=label_getter)[0]
            verdict = _fits(inputs, input_shapes)
    if verdict is None and isinstance(label, tf.TensorSpec) and label.shape.rank == 0:
        return False
    if verdict is None:
        expected = f"a sample as {dict(input_shapes)}" if input_shapes else "no input shape"
        message = (
            f"cannot tell whether the tf.data.Dataset yields batches or samples: the model declares {expected}, "
            f"the dataset yields {tf.nest.map_structure(lambda leaf: getattr(leaf, 'shape', leaf), inputs)}; "
            "pass batched=True or batched=False"
        )
        raise ValueError(message)
    return verdict


def _whole(spec: Any) -> Any:
    return spec


def _no_label(_: Any) -> None:
    return None


def _fits(inputs: Any, samples: Shapes) -> bool | None:
    """Return True if shapes are those of a batch, False if those of a sample, None if of neither."""
    by_name = isinstance(inputs, Mapping) and all(name in inputs for name in samples)
    leaves = [inputs[name] for name in samples] if by_name else tf.nest.flatten(inputs)
    if len(leaves) != len(samples):
        return None
    verdicts = {_leaf_fits(leaf, sample) for leaf, sample in zip(leaves, samples.values(), strict=True)}
    return verdicts.pop() if len(verdicts) == 1 else None


def _leaf_fits(leaf: Any, sample: tuple[int | None, ...]) -> bool | None:
    shape = tf.TensorShape(getattr(leaf, "shape", None))
    if shape.rank is None:
        return None
    if shape.rank == len(sample) + 1 and shape[1:].is_compatible_with(sample):
        return True
    # An unknown first axis where the sample's has a known size may as well be the batch's.
    if shape.rank == len(sample) and shape.is_compatible_with(sample) and (not sample or shape[0] or not sample[0]):
        return False
    return None


def _samples(
    dataset: tf.data.Dataset,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    start: int,
    stop: int | None,
    label_getter: Getter | None,
) -> Batches:
    rows = source_rows(dataset, batched=False)
    if index_getter is None:
        dataset = dataset if stop is None else dataset.take(stop)
        dataset = dataset.skip(start) if start else dataset
    if input_getter is None and index_getter is None and label_getter is None:
        stacked = dataset.batch(batch_size, drop_remainder=False).prefetch(tf.data.AUTOTUNE)
        batches = _explained(iterate_batches(stacked, batch_size, batched=True))
    else:
        # Getters are the user's Python and get one sample each, as everywhere.
        last = stop if index_getter is not None else None
        batches = iterate_batches(
            dataset, batch_size, input_getter, index_getter, batched=False, stop=last, label_getter=label_getter
        )
    if index_getter is None:
        batches = (batch._replace(indices=batch.indices + start) for batch in batches)
    return Batches(batches, rows)


def _explained(batches: Iterator[Batch]) -> Iterator[Batch]:
    try:
        yield from batches
    except tf.errors.InvalidArgumentError as error:
        if "different shapes" in str(error):
            error.add_note(
                "the samples of this batch do not stack; bring them to one shape in the dataset, or set batch_size=1"
            )
        raise


def _is_py_dataset(dataset: Any) -> bool:
    return any(
        kind.__name__ in ("PyDataset", "Sequence") and kind.__module__.partition(".")[0] in ("keras", "tf_keras")
        for kind in type(dataset).__mro__
    )


def _py_batches(dataset: Any, index_getter: Getter | None) -> Iterator[Any]:
    kind = type(dataset).__name__
    if index_getter is None and getattr(dataset, "shuffle", False) is True:
        message = f"the {kind} shuffles, so its rows have no index; set shuffle=False, or index_getter"
        raise AlignmentError(message)
    try:
        count = len(dataset)
    except TypeError as error:
        message = f"the {kind} has no length and never ends; give it __len__, the number of its batches"
        raise ValueError(message) from error
    return (dataset[number] for number in range(count))
