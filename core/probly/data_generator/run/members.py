"""The models of a run, and from their scores to rows: a row is the mean of what its members say.

Members are the models of an ensemble, the passes of one model, and what a model returns along an axis of its own; an
ordinary run has one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.rows import BadRow, FloatRows
from probly.data_generator.run.device import Device, Dispatched, Fetched
from probly.data_generator.run.scores import ScoreReader, Scores
from probly.data_generator.toolkit.samples import Batch

MEMBERS = "members"
LOGITS = "logits"
"""The columns that hold the distributions of each member, and the logits before their softmax."""
FURTHER_PASSES = 64
"""What is drawn again where all passes over the first batch were the same."""


class Asked(NamedTuple):
    """One model of a run: what runs it, and what makes rows of its scores."""

    device: Device
    reader: ScoreReader


class Read(NamedTuple):
    """The scores of a batch, read and not yet rows.

    Attributes:
        scores: Shape ``(N, members, classes)``.
        layers: By name, shape ``(N, members, ...)``.
    """

    scores: Scores
    layers: Mapping[str, npt.NDArray[Any]]


class Finished(NamedTuple):
    """Rows that are checked.

    Attributes:
        members: float32, shape ``(N, members, classes)``.
        normalised: Which samples had a member that was divided by its sum, or None.
        bad: The first sample with a member that is no distribution, or None.
        remedy: What to do about it.
    """

    members: npt.NDArray[np.float32]
    normalised: npt.NDArray[np.bool_] | None
    bad: BadRow | None
    remedy: str


class Models:
    """The models of a run, each of which sees every batch.

    Args:
        asked: One or more.
        plural: Whether members were asked for: then there may be one, too, and messages name it.
    """

    def __init__(self, asked: Sequence[Asked], *, plural: bool) -> None:
        self.asked, self.plural = list(asked), plural
        self._of_each: list[int] = []
        self._drawn = False

    @property
    def first(self) -> Device:
        """The device of the first model, whose backend makes the batches."""
        return self.asked[0].device

    @property
    def mode(self) -> str:
        """The output mode, as decided so far; of models that differ, that of each."""
        modes = [one.reader.mode for one in self.asked]
        return modes[0] if len(set(modes)) == 1 else ",".join(modes)

    def where(self, number: int) -> str:
        """Name a batch in messages."""
        return self.first.where(number)

    def expect(self, rows: int) -> None:
        """Note a batch of so many rows; backends that compile pad to the largest one of a run."""
        for device, _ in self.asked:
            device.largest = max(device.largest, rows)

    def dispatch(self, number: int, batch: Batch) -> list[Dispatched]:
        """Run all models over a batch without waiting for their devices."""
        return [device.dispatch(number, batch) for device, _ in self.asked]

    def read(self, dispatched: Sequence[Dispatched]) -> Read:
        """Wait for the answers to a batch and return the scores of all members.

        Raises:
            InvalidOutputError: A model returns another number of classes or of members than before or than another
                model, or its passes are all the same.
        """
        number, indices = dispatched[0].number, dispatched[0].batch.indices
        found = []
        for (device, reader), one in zip(self.asked, dispatched, strict=True):
            fetched = device.fetch(one)
            if not self._drawn:
                _refuse_equal_passes(device, fetched, one)
            flat, count = _flat(fetched.scores)
            rows = reader.read(flat, device.where(number), np.repeat(indices, count), half=one.half)
            found.append((rows.reshape(len(indices), count, rows.shape[-1]), fetched))
        self._drawn = True
        parts = [rows for rows, _ in found]
        self._check_shapes(parts, f"{self.where(number)}, index {indices[0]}")
        layers = {}
        for name in found[0][1].layers[0]:
            answers = [layers_of_pass[name] for _, fetched in found for layers_of_pass in fetched.layers]
            shapes = sorted({answer.shape[1:] for answer in answers})
            if len(shapes) > 1:
                message = f"layer {name!r}: expected one shape for all models, got {shapes}; keep those of one model"
                raise InvalidOutputError(message)
            layers[name] = np.stack(answers, axis=1)
        return Read(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1), layers)

    def _check_shapes(self, parts: Sequence[Scores], where: str) -> None:
        classes = [part.shape[2] for part in parts]
        if len(set(classes)) > 1:
            message = f"{where}: expected equally many classes from all models, got {classes}"
            raise InvalidOutputError(message)
        counts = [part.shape[1] for part in parts]
        if self._of_each and counts != self._of_each:
            message = f"{where}: expected {sum(self._of_each)} members as before, got {sum(counts)}"
            raise InvalidOutputError(message)
        self._of_each = counts

    def finish(self, scores: Scores) -> Finished:
        """Make rows of scores that ``read`` returned, in place where they can be, and check them."""
        rows = len(scores)
        members, normalised, bad, remedy = [], np.zeros(rows, bool), None, ""
        stop = 0
        for (_, reader), count in zip(self.asked, self._of_each, strict=True):
            start, stop = stop, stop + count
            part = scores if len(self.asked) == 1 else np.ascontiguousarray(scores[:, start:stop])
            checked = reader.finish(part.reshape(-1, part.shape[2]))
            members.append(checked.rows.reshape(rows, count, part.shape[2]))
            if checked.normalised is not None:
                normalised |= checked.normalised.reshape(rows, count).any(axis=1)
            if checked.bad is not None and (bad is None or checked.bad.position // count < bad.position):
                position, member = divmod(checked.bad.position, count)
                which = f"member {start + member}: " if self.plural else ""
                bad = BadRow(position, which + checked.bad.reason)
                remedy = reader.remedy(checked.rows[checked.bad.position])
        joined = members[0] if len(members) == 1 else np.concatenate(members, axis=1)
        return Finished(joined, normalised if normalised.any() else None, bad, remedy)


def mean_rows(members: npt.NDArray[np.float32]) -> FloatRows:
    """Return the mean of the members of each sample, float32, shape ``(N, classes)``.

    Examples:
        >>> mean_rows(np.array([[[1.0, 0.0], [0.5, 0.5]]], np.float32))
        array([[0.75, 0.25]], dtype=float32)
    """
    if members.shape[1] == 1:
        return members[:, 0]
    mean: FloatRows = members.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mean


def _flat(passes: Sequence[Scores]) -> tuple[Scores, int]:
    """Return the scores of all members one below the other, sample by sample, and how many there are of each."""
    if len(passes) == 1 and passes[0].ndim < 3:
        return passes[0], 1
    together = np.stack(passes, axis=1)  # (N, passes[, members][, classes])
    if together.ndim == 2:  # one score each
        return together.reshape(-1), len(passes)
    classes = together.shape[-1]
    flat = together.reshape(-1, classes)
    return flat, len(flat) // max(len(together), 1)


def _refuse_equal_passes(device: Device, fetched: Fetched, dispatched: Dispatched) -> None:
    """Refuse passes that cannot be told apart: nothing in the model is random, or nothing that was activated.

    A few passes over a few rows, such as the last ones of a run that is continued, may be the same by chance, so more
    of them are drawn before anybody is blamed.
    """
    passes, where = device.passes, device.where(dispatched.number)
    if passes is None or passes.count == 1 or not _are_equal(fetched):
        return
    more = replace(device, passes=replace(passes, count=passes.count + FURTHER_PASSES))
    if not _are_equal(more.fetch(more.dispatch(dispatched.number, dispatched.batch))):
        return
    if passes.augment is None:
        message = (
            f"{where}: all {passes.count} passes gave the same scores, so the model has no dropout or other stochastic "
            "layer that its framework activates; leave passes out, or give it one"
        )
    else:
        message = (
            f"{where}: all {passes.count} views gave the same scores; let augment(inputs, seed) return another view "
            "for each seed"
        )
    raise InvalidOutputError(message)


def _are_equal(fetched: Fetched) -> bool:
    first = fetched.scores[0]
    return all(np.array_equal(first, other, equal_nan=True) for other in fetched.scores[1:])
