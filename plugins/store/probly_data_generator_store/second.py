"""A shard that was computed twice: the first one stays, and the second one is compared with it."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from probly.data_generator.errors import StoreError
from probly.data_generator.run.members import MEMBERS
from probly.data_generator.toolkit.places import Place
from probly_data_generator_store import kept
from probly_data_generator_store.admission import OF_KERNELS
from probly_data_generator_store.encodings import Encoding
from probly_data_generator_store.shards import Shard
from probly_data_generator_store.spec import Spec


def compare(where: Place, spec: Spec, encoding: Encoding, there: Shard, found: Shard) -> None:
    """Say how what was computed differs from what another worker has published; nothing if it does not.

    Last bits may differ where kernels do, which is a warning.

    Args:
        where: The shard, for messages.
        spec: What the store is.
        encoding: How rows are kept.
        there: The shard that is published.
        found: What was computed.

    Raises:
        StoreError: Rows, columns, labels or keys are others.
    """
    for name in ("labels", "sample_keys"):
        one, other = there.column(name), found.column(name)
        if not _equal(one, other):
            message = (
                f"{where}: another worker has published other {name.replace('_', ' ')}: the dataset does not give the "
                "same samples each time, or not the same to every worker. Make it so, and choose another path"
            )
            raise StoreError(message)
    largest = float(np.max([0.0, *_differences(spec, encoding, there, found)]))
    if not largest <= OF_KERNELS:  # NaN differs
        message = (
            f"{where}: another worker has published other rows, by up to {largest:.3g}: the model does not give the "
            "same rows each time, or not the same in every worker. Make it so, and choose another path"
        )
        raise StoreError(message)
    if largest:
        message = (
            f"{where}: another worker has published these rows first, with other last bits (by up to {largest:.3g}); "
            "its rows stay"
        )
        warnings.warn(message, stacklevel=4)


def _equal(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")  # NaN stands for no label


def _differences(spec: Spec, encoding: Encoding, there: Shard, found: Shard) -> Iterator[float]:
    """Yield the largest difference in the rows, and in each column: of distributions as it is, else by its size."""
    every: Any = slice(None)
    one, other = (encoding.decode(shard.tensors, every, spec.classes) for shard in (there, found))
    if one.size:
        yield float(np.abs(one - other).max())
    for name, what in spec.columns.items():
        one, other = (kept.decode(name, what, shard.tensors, every, encoding) for shard in (there, found))
        if one.size and one.tobytes() != other.tobytes():  # infinities and NaN are equal to themselves, too
            scale = 1.0 if name == MEMBERS else max(float(np.abs(one).max()), 1.0)
            yield float(np.abs(one.astype(np.float64) - other).max()) / scale
