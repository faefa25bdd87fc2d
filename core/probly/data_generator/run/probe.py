"""The probe: before a store is continued, a batch of it is computed again and compared with the rows that it has.

It notices what no digest can see: preprocessing, code, hidden state, another version of a library.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import numpy as np

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import InvalidOutputError, StoreError
from probly.data_generator.run.members import Models, mean_rows
from probly.data_generator.run.sinks import Sink, Stored
from probly.data_generator.toolkit.samples import Batch, Indices

TOLERANCE = 1e-5
"""How far an entry may be from the stored one: other processors and batch sizes change the last bits."""
HALF_TOLERANCE = 0.03
"""Likewise for scores in half precision: bfloat16 keeps three digits, and softmax makes more of an error."""


class Probe:
    """Compares one batch with what a store has of it.

    Args:
        where: The store's path, for messages.
        stream: The sink of the run, or the distributions of a complete one.
        models: The models; of its own, since they remember the first batch of their run.
        batch_size: The rows of a full batch.
        dataset: What the batches come from.
        begin_at: Returns an iterator over its batches that begins at a row.
    """

    def __init__(
        self,
        where: Any,
        stream: Sink | Distributions,
        models: Models,
        batch_size: int,
        dataset: Any,
        begin_at: Callable[[int], Iterator[Batch]],
    ) -> None:
        self.where, self.stream, self.models = where, stream, models
        self.batch_size, self.dataset, self.begin_at = batch_size, dataset, begin_at
        self.first = _first_stored(stream)

    def check_alone(self) -> None:
        """Compare a batch where there is no run to follow, because all rows are there; see ``check``."""
        with closing(self.begin_at(0)) as batches:
            self.check(batches)

    def check(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Compare a batch with its stored rows, and return all batches, the one that was looked at included.

        Args:
            batches: Those of the run; the first one is read, and if the store has nothing of it, a later one from an
                iterator of its own.

        Raises:
            StoreError: Rows differ.
            InvalidOutputError: The model returns another number of classes.
        """
        if self.first is None:
            return batches
        head = list(islice(_with_rows(batches), 1))
        found = any(map(self._compare, head))
        if found:
            return chain(head, batches)
        if not read_once(self.dataset):
            with closing(self.begin_at(self.first // self.batch_size * self.batch_size)) as other:
                found = any(map(self._compare, _with_rows(other)))  # a loader begins anew, before the rows wanted
        if not found:
            message = (
                f"{self.where}: none of its rows could be computed again, because the dataset does not give them a "
                "second time; whether the model and its preprocessing are the same was not checked"
            )
            warnings.warn(message, stacklevel=2)
        return chain(head, batches)

    def _compare(self, batch: Batch) -> bool:
        """Return whether a batch had stored rows, which are compared then."""
        stored = _stored(self.stream, batch.indices)
        if stored is None:
            return False
        rows = len(batch.indices)
        # Backends that compile pad to the largest batch of a run, and a short last one comes after full ones.
        self.models.expect(max(rows, self.batch_size if batch.indices[0] else 0))
        dispatched = self.models.dispatch(0, batch)
        found = mean_rows(self.models.finish(self.models.read(dispatched).scores.astype(np.float64)).members)
        if found.shape[1] != stored.rows.shape[1]:
            message = (
                f"{self.where}: expected {stored.rows.shape[1]} classes as in the store, got {found.shape[1]}; "
                "pass the model that the store was begun with, or choose another path"
            )
            raise InvalidOutputError(message)
        allowed = np.maximum(stored.tolerance, HALF_TOLERANCE if any(one.half for one in dispatched) else TOLERANCE)
        self._refuse_differences(found[stored.positions], stored, allowed, batch.indices[stored.positions])
        return True

    def _refuse_differences(self, found: Any, stored: Stored, allowed: Any, indices: Indices) -> None:
        away = np.abs(found.astype(np.float64) - stored.rows)
        differing = ~(away <= allowed)  # NaN differs
        rows = np.flatnonzero(differing.any(axis=1))
        if not len(rows):
            return
        row = int(rows[0])
        column = int(np.argmax(np.where(differing[row], np.nan_to_num(away[row], nan=np.inf), -1)))
        message = (
            f"{self.where}: the model or its preprocessing has changed since the store was begun: row {indices[row]} "
            f"has {stored.rows[row, column]:.7g} for class {column}, and computed again it is "
            f"{found[row, column]:.7g}; {len(rows)} of {len(indices)} rows that were computed again differ. Undo the "
            "change, or choose another path; where rows differ each time that they are computed, or a device computes "
            "less precisely than the first one, probe=False continues without this check"
        )
        raise StoreError(message)


@contextmanager
def closing(batches: Iterator[Batch]) -> Iterator[Iterator[Batch]]:
    """Stop an iterator at the end of the block, and with it the workers of a loader, where it can be stopped."""
    try:
        yield batches
    finally:
        if hasattr(batches, "close"):
            batches.close()


def read_once(dataset: Any) -> bool:
    """Return whether a dataset is used up by reading it.

    Examples:
        >>> read_once(iter([1])), read_once([1])
        (True, False)
    """
    try:
        return hasattr(type(dataset), "__next__") and iter(dataset) is dataset
    except TypeError:
        return False


def _with_rows(batches: Iterator[Batch]) -> Iterator[Batch]:
    return (batch for batch in batches if len(batch.indices))


def _first_stored(stream: Sink | Distributions) -> int | None:
    if hasattr(stream, "first_stored"):  # a sink, or distributions that know how their rows were rounded
        first: int | None = stream.first_stored
        return first
    assert isinstance(stream, Distributions)
    return int(stream.indices[0]) if len(stream) else None


def _stored(stream: Sink | Distributions, indices: Indices) -> Stored | None:
    if hasattr(stream, "stored"):
        found: Stored | None = stream.stored(indices)
        return found
    assert isinstance(stream, Distributions)
    there = np.flatnonzero(np.isin(indices, stream.indices))
    return Stored(there, stream.gather(indices[there]), 0.0) if len(there) else None
