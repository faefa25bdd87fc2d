"""Datasets paired with distributions, for training on soft targets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from probly.data_generator import soft_targets as core
from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import AlignmentError
from probly.data_generator.targets import PROBABILITIES, VIEW, check_targets, read_target
from probly.data_generator.toolkit.nests import columns, count_rows, leaves
from probly.data_generator.toolkit.order import check_order
from probly.data_generator.toolkit.parts import Getter, split_sample
from probly.data_generator.toolkit.samples import check_batch_size


class FirstOrderDataset(core.FirstOrderDataset):
    """A dataset whose samples carry their distribution as a float32 tensor.

    Args:
        base_dataset: Tensors, arrays, a sequence of samples, or a tf.data.Dataset of samples (not of batches). The
            latter has no random access and is read into memory; ``output_dataloader`` streams it.
        distributions: A Distributions, or any mapping from dataset index to row.
        input_getter: Picks the input from a sample; by default the first element of a pair.
        label_getter: Picks the label from a sample; by default the second element of a pair, or ``"label"`` or
            ``"labels"`` of a mapping.
        labels: Whether samples come with their label; without, trainers of (input, target) pairs take them.
        targets: What stands at the end of a sample: ``"probabilities"``, ``"top-<k>"``, ``"members"``, ``"view"``, …;
            see ``probly.data_generator.FirstOrderDataset``.

    Raises:
        AlignmentError: A tf.data pipeline shuffles, or yields fewer elements than there are distributions.

    Examples:
        >>> base = tf.data.Dataset.from_tensor_slices((tf.zeros((2, 3)), [0, 1]))
        >>> FirstOrderDataset(base, {0: [0.75, 0.25], 1: [0.5, 0.5]})[0][2].numpy()
        array([0.75, 0.25], dtype=float32)
    """

    def __init__(
        self,
        base_dataset: Any,
        distributions: Mapping[int, Any],
        input_getter: Getter | None = None,
        label_getter: Getter | None = None,
        labels: bool = True,
        targets: Sequence[str] = (PROBABILITIES,),
    ) -> None:
        distributions = Distributions.from_mapping(distributions)
        if isinstance(base_dataset, tf.data.Dataset):
            check_order(base_dataset)
            base_dataset = list(base_dataset)
            _check_samples(len(base_dataset), distributions)
        super().__init__(base_dataset, distributions, input_getter, label_getter, labels, targets)

    def convert(self, rows: npt.NDArray[Any]) -> tf.Tensor:
        """Return an array as a tensor of the same dtype."""
        return tf.convert_to_tensor(rows)


def output_dataloader(
    base_dataset: Any,
    distributions: Mapping[int, Any],
    *,
    batch_size: int = 64,
    shuffle: bool = False,
    num_workers: int = 0,
    pin_memory: bool = False,
    input_getter: Getter | None = None,
    label_getter: Getter | None = None,
    labels: bool = True,
    targets: Sequence[str] = (PROBABILITIES,),
    seed: int | None = None,
) -> tf.data.Dataset:
    """Return a tf.data.Dataset of (inputs, labels, distributions) batches.

    Args:
        base_dataset: See FirstOrderDataset. A tf.data.Dataset is streamed, and read once more at the start where its
            length is unknown; shuffling keeps its samples in memory.
        distributions: See FirstOrderDataset.
        batch_size: Rows per batch.
        shuffle: Whether to draw a new order at each iteration.
        num_workers: Accepted for the sake of one signature on all backends, with a warning.
        pin_memory: Likewise.
        input_getter: See FirstOrderDataset; for a tf.data.Dataset it is traced, like the function of ``map``.
        label_getter: Likewise.
        labels: See FirstOrderDataset.
        targets: See FirstOrderDataset; batches are ``(inputs, labels, *targets)``. ``"view"`` needs a dataset with
            indices, not a tf.data.Dataset; each iteration is an epoch.
        seed: Makes the orders reproducible.

    Raises:
        KeyError: A sample has no distribution.
        AlignmentError: See FirstOrderDataset.
        ValueError: There is no such target.

    Examples:
        >>> base = (np.zeros((2, 3), np.float32), np.array([0, 1]))
        >>> loader = output_dataloader(base, {0: [0.75, 0.25], 1: [0.5, 0.5]}, batch_size=2)
        >>> [tuple(part.shape) for part in next(iter(loader))]
        [(2, 3), (2,), (2, 2)]
    """
    core.warn_ignored(num_workers, pin_memory, "tf.data reads in threads of its own")
    batch_size = check_batch_size(batch_size)
    label_getter = label_getter if labels else core.without_label
    checked = Distributions.from_mapping(distributions)
    targets = check_targets(targets, checked)
    if isinstance(base_dataset, tf.data.Dataset):
        samples = _streamed(base_dataset, checked, input_getter, label_getter, targets)
    elif (
        input_getter is None
        and (label_getter is None or not labels)
        and _in_memory(columns(base_dataset))
        and VIEW not in targets
    ):
        samples = _sliced(columns(base_dataset), checked, label_getter, targets)
    else:
        dataset = core.FirstOrderDataset(base_dataset, checked, input_getter, label_getter, targets=targets)
        return _generated(dataset, batch_size, shuffle, seed)
    if shuffle:
        samples = samples.shuffle(max(1, len(samples)), seed=seed, reshuffle_each_iteration=True)
    return samples.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _check_samples(samples: int, distributions: Distributions) -> None:
    """Refuse fewer elements than distributions: batches would each get the distribution of one sample."""
    if samples < len(distributions):
        message = (
            f"the tf.data.Dataset yields {samples} elements, but there are {len(distributions)} distributions; if it "
            "is batched, pass dataset.unbatch(), else only the distributions of these samples"
        )
        raise AlignmentError(message)


def _streamed(
    dataset: tf.data.Dataset,
    distributions: Distributions,
    input_getter: Getter | None,
    label_getter: Getter | None,
    targets: tuple[str, ...],
) -> tf.data.Dataset:
    check_order(dataset)
    if VIEW in targets:
        message = (
            "targets: 'view' takes another member in each epoch, and a tf.data.Dataset does not say which one it is; "
            "pass arrays or a sequence of samples, such as list(dataset)"
        )
        raise ValueError(message)
    count = int(dataset.cardinality())
    if count < 0:
        count = int(dataset.reduce(np.int64(0), lambda counted, *_: counted + 1))
    _check_samples(count, distributions)
    rows = tf.data.Dataset.from_tensor_slices(_targets(distributions, count, targets))

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def parts(sample: Any, found: tuple[Any, ...]) -> tuple[Any, ...]:
        inputs, label = split_sample(sample, input_getter, label_getter=label_getter)
        return (inputs, *found) if label is None else (inputs, label, *found)

    paired = tf.data.Dataset.zip((dataset, rows)).map(parts, num_parallel_calls=tf.data.AUTOTUNE)
    return paired.apply(tf.data.experimental.assert_cardinality(count))


def _in_memory(arrays: Any) -> bool:
    """Return whether a dataset is arrays in memory; those in files are read batch by batch."""
    return arrays is not None and not any(isinstance(leaf, np.memmap) for leaf in leaves(arrays))


def _targets(distributions: Distributions, count: int, targets: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the targets of all samples."""
    return tuple(read_target(name, distributions, np.arange(count)) for name in targets)


def _sliced(
    arrays: Any, distributions: Distributions, label_getter: Getter | None, targets: tuple[str, ...]
) -> tf.data.Dataset:
    core.check_covered(core.FirstOrderDataset(arrays, distributions))
    inputs, labels = split_sample(arrays, label_getter=label_getter)
    found = _targets(distributions, count_rows(arrays), targets)
    return tf.data.Dataset.from_tensor_slices((inputs, *found) if labels is None else (inputs, labels, *found))


def _generated(dataset: core.FirstOrderDataset, batch_size: int, shuffle: bool, seed: int | None) -> tf.data.Dataset:
    core.check_covered(dataset)
    loader = core.SoftTargetLoader(dataset, batch_size, shuffle, seed=seed)
    if len(dataset) == 0:
        return tf.data.Dataset.range(0)
    signature = tf.nest.map_structure(_any_rows, loader.collate([0]))

    def batches() -> Iterator[Any]:
        return iter(loader)

    read = tf.data.Dataset.from_generator(batches, output_signature=signature)
    counted = read.apply(tf.data.experimental.assert_cardinality(len(loader)))
    return counted.prefetch(tf.data.AUTOTUNE)


def _any_rows(batch: np.ndarray[Any, Any]) -> tf.TensorSpec:
    return tf.TensorSpec([None, *batch.shape[1:]], tf.as_dtype(batch.dtype))
