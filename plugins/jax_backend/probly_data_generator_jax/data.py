"""Datasets and loaders for JAX: read for a run, and paired with distributions for training."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probly.data_generator import soft_targets as core
from probly.data_generator.rows import FloatRows
from probly.data_generator.toolkit.batches import iterate_batches
from probly.data_generator.toolkit.loaders import SimpleDataLoader, is_loader
from probly.data_generator.toolkit.nests import columns, leaves, map_leaves
from probly.data_generator.toolkit.samples import Batch, Batches, Getter
from probly_data_generator_jax.devices import is_number, resolve_device, stage


def jax_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int = 0,
) -> Batches:
    """Iterate over anything that JAX users call a dataset; arrays are sliced, never fetched row by row."""
    if input_getter is None and index_getter is None and not batched:
        dataset = host_views(dataset)
    batches = iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start)
    # What a loader, or an array of another library, hands out may be its own buffer, which it fills again.
    stacked = input_getter is not None or index_getter is not None or columns(dataset) is None
    lasting = not (batched or is_loader(dataset)) and (stacked or all(map(_lasts, leaves(columns(dataset)))))
    return Batches(_staged(batches), batches.length) if lasting else batches


def _lasts(array: Any) -> bool:
    """Return whether slices of an array stay as they are."""
    return type(array) in (np.ndarray, np.memmap) or isinstance(array, jax.Array)


def _staged(batches: Batches) -> Iterator[Batch]:
    try:
        for indices, inputs, labels in batches:
            yield Batch(indices, inputs if isinstance(inputs, list) else stage(inputs), labels)
    finally:
        batches.close()


def host_views(dataset: Any) -> Any:
    """Return a dataset of arrays with those in host memory as NumPy views; any other dataset as it is.

    Slicing a NumPy view takes under a microsecond, slicing a jax.Array about fifty. Nothing is copied.
    """
    arrays = columns(dataset)
    return dataset if arrays is None else map_leaves(_host_view, arrays)


def _host_view(array: Any) -> Any:
    if not isinstance(array, jax.Array) or not is_number(array.dtype):
        return array
    return np.asarray(array) if {device.platform for device in array.devices()} == {"cpu"} else array


class FirstOrderDataset(core.FirstOrderDataset):
    """A dataset whose samples carry their distribution as a float32 jax.Array.

    Args:
        base_dataset: Arrays, or a sequence of samples.
        distributions: A Distributions, or any mapping from dataset index to row.
        input_getter: Picks the input from a sample; by default the first element of a tuple, else the whole sample.

    Examples:
        >>> base = [("a", 0), ("b", 1)]
        >>> FirstOrderDataset(base, {0: [0.75, 0.25], 1: [0.5, 0.5]})[1]
        ('b', 1, Array([0.5, 0.5], dtype=float32))
    """

    def convert(self, rows: FloatRows) -> jax.Array:
        """Return distributions as a float32 jax.Array."""
        return jnp.asarray(rows)


class JaxDataLoader(SimpleDataLoader):
    """Hand out a dataset in batches of jax.Arrays on a device.

    Args:
        dataset: Arrays, or a sequence of samples.
        batch_size: Rows per batch; the last batch may have fewer.
        shuffle: Whether to draw a new order at each iteration.
        seed: Makes the orders reproducible.
        device: A device name such as ``"cpu"`` or ``"gpu:1"``, or None for the best one available.

    Raises:
        ValueError: The device is not available; the message lists those that are.

    Examples:
        >>> loader = JaxDataLoader((np.zeros((3, 2)), np.array([0, 1, 1])), batch_size=2, device="cpu")
        >>> [labels for inputs, labels in loader]
        [Array([0, 1], dtype=int32), Array([1], dtype=int32)]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 64,
        shuffle: bool = False,
        *,
        seed: int | None = None,
        device: str | None = None,
    ) -> None:
        super().__init__(host_views(dataset), batch_size, shuffle, seed=seed)
        self.placement = resolve_device(device)

    def collate(self, indices: list[int]) -> Any:
        """Return the batch of these indices on the device."""
        return self.placement.put(super().collate(indices))


def output_dataloader(
    base_dataset: Any,
    distributions: Mapping[int, Any],
    *,
    batch_size: int = 64,
    shuffle: bool = False,
    num_workers: int = 0,
    pin_memory: bool = False,
    input_getter: Getter | None = None,
    seed: int | None = None,
    device: str | None = None,
) -> JaxDataLoader:
    """Return a loader of (inputs, labels, distributions) batches as jax.Arrays.

    Args:
        base_dataset: See FirstOrderDataset.
        distributions: See FirstOrderDataset.
        batch_size: Rows per batch.
        shuffle: Whether to draw a new order at each iteration.
        num_workers: Accepted for the sake of one signature on all backends, with a warning.
        pin_memory: Likewise.
        input_getter: See FirstOrderDataset.
        seed: Makes the orders reproducible.
        device: A device name, or None for the best one available.

    Raises:
        KeyError: A sample has no distribution.
        ValueError: The device is not available.

    Examples:
        >>> base = (jnp.zeros((2, 3)), jnp.array([0, 1]))
        >>> loader = output_dataloader(base, {0: [0.75, 0.25], 1: [0.5, 0.5]}, batch_size=2)
        >>> [part.shape for part in next(iter(loader))]
        [(2, 3), (2,), (2, 2)]
    """
    core.warn_ignored(num_workers, pin_memory, "JaxDataLoader reads in this process")
    # NumPy rows until the batch is whole: one copy to the device per batch instead of one per sample.
    base = host_views(base_dataset) if input_getter is None else base_dataset
    dataset = core.FirstOrderDataset(base, distributions, input_getter)
    core.check_covered(dataset)
    return JaxDataLoader(dataset, batch_size, shuffle, seed=seed, device=device)
