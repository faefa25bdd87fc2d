"""Putting distributions beside the samples that they belong to, for training on soft targets."""

import warnings
from collections.abc import Mapping
from typing import Any

from probly.data_generator.distributions import Distributions
from probly.data_generator.rows import FloatRows
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
    ) -> None:
        self.base_dataset = base_dataset
        self.distributions = Distributions.from_mapping(distributions)
        self.input_getter = input_getter
        self.label_getter = label_getter if labels else without_label
        self._arrays = columns(base_dataset)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.base_dataset) if self._arrays is None else count_rows(self._arrays)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return (input, label, distribution), or (input, distribution) without a label.

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
        """Return several samples, with their distributions read at once; loaders call it with a batch of indices."""
        rows = self.convert(self.distributions.gather(indices))
        samples = fetch(self.base_dataset if self._arrays is None else self._arrays, indices)
        pieces = (split_sample(sample, self.input_getter, self.pairs, self.label_getter) for sample in samples)
        return [
            (value, row) if label is None else (value, label, row)
            for (value, label), row in zip(pieces, rows, strict=True)
        ]

    def convert(self, rows: FloatRows) -> Any:
        """Return distributions as the framework's float32 array."""
        return rows


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
    seed: int | None = None,
) -> SimpleDataLoader:
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
        seed: Makes the orders reproducible.

    Raises:
        KeyError: A sample has no distribution.

    Examples:
        >>> loader = output_dataloader([([1.0], 0), ([2.0], 1)], {0: [0.9, 0.1], 1: [0.5, 0.5]}, batch_size=2)
        >>> for inputs, labels, distributions in loader:
        ...     print(inputs.shape, labels, distributions.dtype)
        (2, 1) [0 1] float32
    """
    warn_ignored(num_workers, pin_memory, "SimpleDataLoader reads in this process")
    dataset = FirstOrderDataset(base_dataset, distributions, input_getter, label_getter, labels)
    check_covered(dataset)
    return SimpleDataLoader(dataset, batch_size, shuffle, seed=seed)
