"""Datasets whose samples carry their distribution, for training on soft targets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from probly.data_generator import Distributions
from probly.data_generator import soft_targets as core
from probly.data_generator.errors import AlignmentError
from probly.data_generator.targets import PROBABILITIES
from probly.data_generator.toolkit.parts import Getter
from probly_data_generator_torch.arrays import PAIRS, plain, stack_samples
from probly_data_generator_torch.data import positions


class FirstOrderDataset(core.FirstOrderDataset, Dataset[tuple[Any, ...]]):
    """A torch Dataset whose samples carry their distribution as a float32 tensor.

    Args:
        base_dataset: A map-style Dataset, or tensors.
        distributions: A Distributions, or any mapping from dataset index to row.
        input_getter: Picks the input from a sample; by default the first element of a pair, a tuple or a list.
        label_getter: Picks the label from a sample; by default the second element of a pair, or ``"label"`` or
            ``"labels"`` of a mapping.
        labels: Whether samples come with their label; without, trainers of (input, target) pairs take them.
        targets: What stands at the end of a sample: ``"probabilities"``, ``"top-<k>"``, ``"members"``, ``"view"``, …;
            see ``probly.data_generator.FirstOrderDataset``.

    Raises:
        AlignmentError: ``base_dataset`` is a Subset, and the distributions are those of the whole dataset.
        TypeError: ``base_dataset`` has no indices, as an IterableDataset.

    Examples:
        >>> base = torch.utils.data.TensorDataset(torch.zeros(2, 3), torch.tensor([0, 1]))
        >>> FirstOrderDataset(base, {0: [0.75, 0.25], 1: [0.5, 0.5]})[0]
        (tensor([0., 0., 0.]), tensor(0), tensor([0.7500, 0.2500]))
    """

    pairs = PAIRS

    def __init__(
        self,
        base_dataset: Any,
        distributions: Mapping[int, Any],
        input_getter: Getter | None = None,
        label_getter: Getter | None = None,
        labels: bool = True,
        targets: Sequence[str] = (PROBABILITIES,),
    ) -> None:
        indexed = hasattr(base_dataset, "__len__") and hasattr(base_dataset, "__getitem__")
        if isinstance(base_dataset, IterableDataset) or not indexed:
            message = (
                "FirstOrderDataset: expected a map-style dataset, with __len__ and __getitem__, got "
                f"{type(base_dataset).__name__}; an iterable dataset can be collected first: list(dataset)"
            )
            raise TypeError(message)
        super().__init__(base_dataset, distributions, input_getter, label_getter, labels, targets)
        _check_subset(base_dataset, self.distributions)

    def convert(self, rows: npt.NDArray[Any]) -> torch.Tensor:
        """Return an array as a tensor of the same dtype."""
        return torch.from_numpy(plain(rows))


def _check_subset(dataset: Any, distributions: Distributions) -> None:
    """Refuse a part of a dataset, as ``random_split`` makes them, with the rows of the whole."""
    chosen = None
    while type(dataset) is Subset:
        here = positions(dataset.indices)
        chosen = here if chosen is None else here[chosen]
        dataset = dataset.dataset
        moved = torch.nonzero(chosen != torch.arange(len(chosen)))
        if len(moved) and len(chosen) < len(distributions) <= len(dataset):
            place = int(moved[0])
            message = (
                f"a Subset counts from 0 again: its sample {place} is sample {int(chosen[place])} of the dataset, and "
                f"there are distributions of {len(distributions)} samples; take the subset of both, "
                "Subset(FirstOrderDataset(dataset, distributions), indices), or give it rows that count like it, "
                "Distributions(distributions.gather(indices))"
            )
            raise AlignmentError(message)


class SoftTargetLoader(core.Epochs, DataLoader[Any]):  # type: ignore[misc]  # its iterator has a class of its own
    """A DataLoader of a FirstOrderDataset; of the target ``"view"``, each pass is given the next member."""


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
) -> SoftTargetLoader:
    """Return a torch DataLoader of (inputs, labels, distributions) batches.

    Args:
        base_dataset: See FirstOrderDataset.
        distributions: See FirstOrderDataset.
        batch_size: Rows per batch.
        shuffle: Whether to draw a new order at each iteration.
        num_workers: Processes that read samples; 0 reads in this one.
        pin_memory: Whether to return tensors in page-locked memory, for faster copies to an accelerator.
        input_getter: See FirstOrderDataset.
        label_getter: See FirstOrderDataset.
        labels: See FirstOrderDataset.
        targets: See FirstOrderDataset; batches are ``(inputs, labels, *targets)``.

    Raises:
        KeyError: A sample has no distribution.
        ValueError: There is no such target.

    Examples:
        >>> base = torch.utils.data.TensorDataset(torch.zeros(2, 3), torch.tensor([0, 1]))
        >>> loader = output_dataloader(base, {0: [0.75, 0.25], 1: [0.5, 0.5]}, batch_size=2)
        >>> [tuple(part.shape) for part in next(iter(loader))]
        [(2, 3), (2,), (2, 2)]
    """
    dataset = FirstOrderDataset(base_dataset, distributions, input_getter, label_getter, labels, targets)
    core.check_covered(dataset)
    return SoftTargetLoader(
        dataset,
        batch_size,
        shuffle=shuffle,
        num_workers=num_workers,
        pin_memory=pin_memory,
        collate_fn=stack_samples,
    )
