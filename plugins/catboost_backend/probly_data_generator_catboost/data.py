"""What models take as inputs, batch by batch: arrays, tables and sparse matrices."""

from typing import Any

import catboost

from probly.data_generator.toolkit import batches
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.samples import Batches
from probly.data_generator.toolkit.tabular import rowwise, stack_rows


def booster_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int,
    stop: int | None,
    label_getter: Getter | None = None,
) -> Batches:
    """Iterate over a dataset in batches whose tables keep the names of their columns.

    Raises:
        TypeError: ``dataset`` is a ``Pool``, which gives its rows to nobody, or nothing to iterate over.
    """
    if isinstance(dataset, catboost.Pool):
        message = f"expected a dataset, got a {type(dataset).__name__}; pass the array or the table that it is made of"
        raise TypeError(message)
    return batches.iterate_batches(
        rowwise(dataset), batch_size, input_getter, index_getter, batched, start, stop, label_getter, stack=stack_rows
    )
