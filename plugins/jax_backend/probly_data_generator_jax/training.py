"""Datasets and loaders of JAX that pair samples with their distributions, for training on soft targets."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy.typing as npt

from probly.data_generator import soft_targets
from probly.data_generator.targets import PROBABILITIES
from probly.data_generator.toolkit.loaders import SimpleDataLoader
from probly.data_generator.toolkit.parts import Getter
from probly_data_generator_jax.data import host_views
from probly_data_generator_jax.devices import resolve_device


class FirstOrderDataset(soft_targets.FirstOrderDataset):
    """A dataset whose samples carry their distribution as a float32 jax.Array.

    Args:
        base_dataset: Arrays, or a sequence of samples.
        distributions: A Distributions, or any mapping from dataset index to row.
        input_getter: Picks the input from a sample; by default the first element of a pair, else the whole sample.
        label_getter: Picks the label from a sample; by default the second element of a pair, or ``"label"`` or
            ``"labels"`` of a mapping.
        labels: Whether samples come with their label; without, trainers of (input, target) pairs take them.
        targets: What stands at the end of a sample: ``"probabilities"``, ``"top-<k>"``, ``"members"``, ``"view"``, …;
            see ``probly.data_generator.FirstOrderDataset``.

    Examples:
        >>> base = [("a", 0), ("b", 1)]
        >>> FirstOrderDataset(base, {0: [0.75, 0.25], 1: [0.5, 0.5]})[1]
        ('b', 1, Array([0.5, 0.5], dtype=float32))
    """

    def convert(self, rows: npt.NDArray[Any]) -> jax.Array:
        """Return an array as a jax.Array."""
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
        >>> loader = JaxDataLoader((jnp.zeros((3, 2)), jnp.array([0, 1, 1])), batch_size=2, device="cpu")
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


class SoftTargetLoader(soft_targets.Epochs, JaxDataLoader):
    """A JaxDataLoader of a FirstOrderDataset; of the target ``"view"``, each pass is given the next member."""


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
    device: str | None = None,
) -> SoftTargetLoader:
    """Return a loader of (inputs, labels, distributions) batches as jax.Arrays.

    Args:
        base_dataset: See FirstOrderDataset.
        distributions: See FirstOrderDataset.
        batch_size: Rows per batch.
        shuffle: Whether to draw a new order at each iteration.
        num_workers: Accepted for the sake of one signature on all backends, with a warning.
        pin_memory: Likewise.
        input_getter: See FirstOrderDataset.
        label_getter: See FirstOrderDataset.
        labels: See FirstOrderDataset.
        targets: See FirstOrderDataset; batches are ``(inputs, labels, *targets)``.
        seed: Makes the orders reproducible.
        device: A device name, or None for the best one available.

    Raises:
        KeyError: A sample has no distribution.
        ValueError: The device is not available, or there is no such target.

    Examples:
        >>> base = (jnp.zeros((2, 3)), jnp.array([0, 1]))
        >>> loader = output_dataloader(base, {0: [0.75, 0.25], 1: [0.5, 0.5]}, batch_size=2)
        >>> [part.shape for part in next(iter(loader))]
        [(2, 3), (2,), (2, 2)]
    """
    soft_targets.warn_ignored(num_workers, pin_memory, "JaxDataLoader reads in this process")
    # NumPy rows until the batch is whole: one copy to the device per batch instead of one per sample.
    base = host_views(base_dataset) if input_getter is None and label_getter is None else base_dataset
    dataset = soft_targets.FirstOrderDataset(base, distributions, input_getter, label_getter, labels, targets)
    soft_targets.check_covered(dataset)
    return SoftTargetLoader(dataset, batch_size, shuffle, seed=seed, device=device)
