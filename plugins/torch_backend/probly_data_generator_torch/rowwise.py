"""Tensors that cannot be sliced, sparse and nested ones, cut by rows into tensors of their own kind."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


class Rows:
    """A sparse or nested tensor as a column of a dataset.

    Args:
        tensor: With its rows on the first axis.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self.dtype = tensor.dtype
        self.shape = (tensor.size(0),)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: Any) -> torch.Tensor:
        """Return the chosen rows: an integer gives one sample, anything else a tensor of the same layout."""
        if np.ndim(rows) == 0 and not isinstance(rows, slice):
            return self.tensor.unbind()[int(rows)] if self.tensor.is_nested else self.tensor[int(rows)]
        chosen = torch.arange(len(self))[rows].tolist()
        if self.tensor.is_nested:
            parts = self.tensor.unbind()
            return torch.nested.as_nested_tensor([parts[row] for row in chosen], layout=self.tensor.layout)
        coordinates = self.tensor.to_sparse(layout=torch.sparse_coo)
        picked = torch.index_select(coordinates, 0, torch.tensor(chosen, dtype=torch.int64, device=self.tensor.device))
        return picked.to_sparse(layout=self.tensor.layout)


def rowwise(dataset: Any) -> Any:
    """Return a dataset that is given as columns with those that cannot be sliced as ``Rows``; others as they are."""
    if isinstance(dataset, torch.Tensor):
        sliceable = dataset.layout is torch.strided and not dataset.is_nested
        return dataset if sliceable or dataset.dim() == 0 else Rows(dataset)
    if type(dataset) is tuple:
        return tuple(map(rowwise, dataset))
    if isinstance(dataset, Mapping):
        changed = {name: rowwise(part) for name, part in dataset.items()}
        return changed if any(isinstance(part, Rows) for part in changed.values()) else dataset
    return dataset
