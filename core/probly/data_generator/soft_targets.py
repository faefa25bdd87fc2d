"""Putting distributions beside the samples that they belong to, for training on soft targets."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.targets import PROBABILITIES, VIEW, SparseTargets, check_targets, read_target
from probly.data_generator.toolkit.loaders import SimpleDataLoader
from probly.data_generator.toolkit.nests import columns, count_rows
from probly.data_generator.toolkit.parts import Getter, split_sample
from probly.data_generator.toolkit.samples import fetch


class FirstOrderDataset:
    """A dataset whose samples carry their distribution.

    Args:
        base_dataset: Arrays, or a sequence of samples.
        distributions: A Distributions, or any mapping from dataset index to row.
        input_getter: Picks the input from a sample; by default the first element of a pair, else the whole sample.
        label_getter: Picks the label from a sample; by default the second element of a pair, or ``"label"`` or
            ``"labels"`` of a mapping.
        labels: Whether samples come with their label; without, trainers of (input, target) pairs take them.
        targets: What stands at the end of a sample, in this order: ``"probabilities"``, its row; ``"top-<k>"``, the
            largest probabilities and the mass of the others, as ``SparseTargets``; ``"members"``, ``"logits"`` or
            another of ``distributions.columns``; ``"view"``, the member whose turn it is, see ``set_epoch``.

    Examples:
        >>> base = [("a", 0), ("b", 1)]
        >>> FirstOrderDataset(base, {0: [0.9, 0.1], 1: [0.5, 0.5]})[1]
        ('b', 1, array([0.5, 0.5], dtype=float32))
    """

    pairs: tuple[type, ...] = (tuple,)

    def __init__(
        self,
        base_dataset: Any,
        distributions: Mapping[int, Any],
        input_getter: Getter | None = None,
        label_getter: Getter | None = None,
        labels: bool = True,
        targets: Sequence[str] = (PROBABILITIES,),
    ) -> None:
        self.base_dataset = base_dataset
        self.distributions = Distributions.from_mapping(distributions)
        self.input_getter = input_getter
        self.label_getter = label_getter if labels else without_label
        self.targets = check_targets(targets, self.distributions)
        self.epoch = 0
        self._arrays = columns(base_dataset)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch it is: of m members, the target ``"view"`` is that of the number ``epoch`` modulo m.

        With that target, a base dataset that has a method ``set_epoch``, too, is told before each batch: where members
        are views, as in FKD, it gives the input as that member saw it.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.base_dataset) if self._arrays is None else count_rows(self._arrays)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return (input, label, *targets), or (input, *targets) without a label; the target is mostly its distribution.

        Raises:
            KeyError: There is no distribution for the index.
            IndexError: There is no sample of the index.
        """
        length = len(self)
        if not -length <= index < length:
            message = f"index {index} is out of range for {length} samples"
            raise IndexError(message)
        return self.__getitems__([index % length])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, ...]]:
        """Return several samples, with their targets read at once; loaders call it with a batch of indices."""
        targets = list(zip(*(self._target(name, indices) for name in self.targets), strict=True))
        if VIEW in self.targets and hasattr(self.base_dataset, "set_epoch"):
            self.base_dataset.set_epoch(self.epoch)  # another loader of it may be at another epoch
        samples = fetch(self.base_dataset if self._arrays is None else self._arrays, indices)
        pieces = (split_sample(sample, self.input_getter, self.pairs, self.label_getter) for sample in samples)
        return [
            (value, *found) if label is None else (value, label, *found)
            for (value, label), found in zip(pieces, targets, strict=True)
        ]

    def _target(self, name: str, indices: list[int]) -> Any:
        """Return a target with an entry for each sample."""
        found = read_target(name, self.distributions, indices, self.epoch)
        if not isinstance(found, SparseTargets):
            return self.convert(found)
        return list(map(SparseTargets, *map(self.convert, found)))

    def convert(self, rows: npt.NDArray[Any]) -> Any:
        """Return an array as one of the framework, of the same dtype: float32 and, of sparse targets, int64."""
        return rows


class Epochs:
    """What loaders inherit first: each pass over them is an epoch of their dataset, for the target ``"view"``."""

    dataset: Any
    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say the epoch of the next pass, as when training is continued; the passes after it count on from there."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        """Begin an epoch."""
        self.dataset.set_epoch(self.epoch)
        self.epoch += 1
        batches: Iterator[Any] = super().__iter__()  # type: ignore[misc]  # of the loader that it stands before
        return batches


class SoftTargetLoader(Epochs, SimpleDataLoader):
    """A SimpleDataLoader of a FirstOrderDataset."""


def without_label(_sample: Any) -> None:
    """Return no label: what a dataset without labels picks them by."""


def check_covered(dataset: FirstOrderDataset) -> None:
    """Refuse a dataset with samples that have no distribution, before an epoch is spent on the others.

    Raises:
        KeyError: The message names the first missing index and counts them.
    """
    missing = dataset.distributions.missing(len(dataset))
    if len(missing):
        message = (
            f"No distribution for index {missing[0]} ({len(missing)} of {len(dataset)} samples have none); "
            "generate the rest; a subset counts from 0 again, so its distributions need new indices"
        )
        raise KeyError(message)


def warn_ignored(num_workers: int, pin_memory: bool, instead: str) -> None:
    """Warn that a loader of this framework has no workers and no pinned memory."""
    if num_workers or pin_memory:
        message = f"num_workers and pin_memory are ignored: {instead}"
        warnings.warn(message, stacklevel=3)


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
) -> SoftTargetLoader:
    """Return a loader of (inputs, labels, distributions) batches as NumPy arrays.

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

    Raises:
        KeyError: A sample has no distribution.
        ValueError: There is no such target.

    Examples:
        >>> loader = output_dataloader([([1.0], 0), ([2.0], 1)], {0: [0.9, 0.1], 1: [0.5, 0.5]}, batch_size=2)
        >>> for inputs, labels, distributions in loader:
        ...     print(inputs.shape, labels, distributions.dtype)
        (2, 1) [0 1] float32
    """
    warn_ignored(num_workers, pin_memory, "SimpleDataLoader reads in this process")
    dataset = FirstOrderDataset(base_dataset, distributions, input_getter, label_getter, labels, targets)
    check_covered(dataset)
    return SoftTargetLoader(dataset, batch_size, shuffle, seed=seed)
