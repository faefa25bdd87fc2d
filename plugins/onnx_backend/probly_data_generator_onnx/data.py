"""Datasets: ONNX Runtime has none of its own, so everything that the core reads, in NumPy."""

from typing import Any

from probly.data_generator.soft_targets import FirstOrderDataset, output_dataloader
from probly.data_generator.toolkit.batches import iterate_batches
from probly.data_generator.toolkit.samples import Batches, Getter

__all__ = ["FirstOrderDataset", "onnx_batches", "output_dataloader"]


def onnx_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int = 0,
) -> Batches:
    """Iterate over anything that the core calls a dataset; arrays are sliced, never fetched one by one."""
    return iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start)
