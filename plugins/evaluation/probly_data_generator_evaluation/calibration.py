"""Calibrating stored rows: one temperature, fitted to labels or to distributions, and what it changes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import root_scalar

from probly.data_generator.distributions import Distributions
from probly_data_generator_evaluation.blocks import SMALLEST, Floats, Rows, each_block, paired, rows_of
from probly_data_generator_evaluation.distances import (
    jensen_shannon,
    kullback_leibler,
    total_variation,
    unbiased_squared_distance,
)
from probly_data_generator_evaluation.human_votes import HumanVotes
from probly_data_generator_evaluation.targets import Targets

RESCALED = "rescaled_temperature"
"""The entry of the metadata that says at which temperature rows were rescaled."""
FARTHEST = 30
"""The temperatures that are looked at are from ``2**-30`` to ``2**30``."""
NOTHING = 1e-12
"""Which slope of a loss is none."""
DISTANCES = ("total_variation", "kullback_leibler", "jensen_shannon", "unbiased_squared_distance")


@dataclass(frozen=True)
class TemperatureFit:
    """What ``fit_temperature`` found.

    Attributes:
        temperature: The best one.
        loss: The mean cross-entropy of the targets at it, in nats.
        loss_before: That at a temperature of 1, which is that of the rows as they are.
        samples: How many rows had a target.
    """

    temperature: float
    loss: float
    loss_before: float
    samples: int


def fit_temperature(rows: Any, targets: Any = None) -> TemperatureFit:
    r"""Return the temperature ``T`` at which rows say most about their targets.

    It minimises the mean cross-entropy ``-sum_c y_c log q_c(T)`` of the targets ``y``, with ``q(T) = softmax(log p /
    T)`` (Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2). ``log p`` is the row's logits up to a
    constant per row, which the softmax does not see, so stored rows do. The loss is convex in ``1 / T``, and
    its derivative, ``sum_c (q_c(T) - y_c) log p_c``, has one root, which SciPy finds to 12 digits (Brent's method).

    Args:
        rows: Distributions, a mapping from index to row, or floats of shape ``(samples, classes)``. A probability of 0
            counts as the smallest float32.
        targets: Labels, one per row, or soft targets: HumanVotes, Distributions, or floats of shape ``(samples,
            classes)``. By default the labels of the distributions. Rows without a label are left out.

    Raises:
        AlignmentError: A row has no target.
        ValueError: There are no targets, or no temperature is best: the targets are the largest entries of all rows, or
            the rows know less of them than a uniform distribution. The message says which.

    Examples:
        >>> rows = np.array([[0.9, 0.1]] * 10)
        >>> fit_temperature(rows, [0] * 6 + [1] * 4).temperature.__round__(6)
        5.419023
    """
    source = rows_of(rows)
    held = Targets(source, targets)
    known = source if held.known is None else source.take(held.known)
    if not len(known):
        message = "targets: expected at least one row with a target, got none"
        raise ValueError(message)

    def means_of(inverse: float) -> Floats:
        sums = np.zeros(4)
        for part_sums in each_block(lambda part: _loss(known, held, part, inverse), len(known), known.classes):
            sums += part_sums
        return sums / len(known)

    loss_before, slope, flattest, steepest = means_of(1.0)
    _check_root(flattest, steepest)
    step = 1.0 if slope < 0 else -1.0
    nearer, power = 0.0, step
    while abs(power) < FARTHEST and (means_of(2.0**power)[1] < 0) == (slope < 0):
        nearer, power = power, power + step
    between = sorted((nearer, power))
    found = root_scalar(lambda tried: means_of(2.0**tried)[1], bracket=between, method="brentq", xtol=1e-13)
    inverse = 2.0**found.root
    return TemperatureFit(1.0 / inverse, float(means_of(inverse)[0]), float(loss_before), len(known))


def _loss(rows: Rows, targets: Targets, part: slice, inverse: float) -> Floats:
    """Return sums over a block: the loss, its derivative by the inverse temperature, and that at 0 and at infinity."""
    logs = np.maximum(rows.read(part), SMALLEST)
    np.log(logs, out=logs)
    wanted, highest = targets.products(part, logs), logs.max(axis=1)
    scaled = logs - highest[:, None]
    scaled *= inverse
    np.exp(scaled, out=scaled)
    total = scaled.sum(axis=1)
    means = np.einsum("nk,nk->n", scaled, logs) / total
    losses = np.log(total) + inverse * (highest - wanted)
    return np.array([each.sum() for each in (losses, means - wanted, logs.mean(axis=1) - wanted, highest - wanted)])


def _check_root(flattest: float, steepest: float) -> None:
    """Refuse what has its best temperature at 0 or at infinity."""
    if flattest >= -NOTHING:
        message = (
            "no temperature is best, each higher one is better: the rows know less of the targets than a uniform "
            "distribution. Are rows and targets in the same order, and their columns the same classes?"
        )
        raise ValueError(message)
    if steepest <= NOTHING:
        message = (
            "no temperature is best, each lower one is better: the targets are the largest entries of all rows. Fit on "
            "rows that the model was not trained on, or on more of them"
        )
        raise ValueError(message)


def rescale(rows: Any, temperature: float, out: npt.NDArray[Any] | None = None) -> Any:
    """Return rows at another temperature, ``softmax(log p / T)``: each ``p_c^(1 / T)``, divided by their sum.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2. A probability of 0 stays 0.

    Args:
        rows: Distributions, a mapping from index to row, or floats of shape ``(samples, classes)``.
        temperature: A finite number above 0; above 1 makes rows flatter, below 1 sharper.
        out: Floats of the shape of the rows to write to, such as a memory map, where they are too large for memory.

    Returns:
        Distributions in float32, with the same indices, labels, sample keys and metadata and the entry
        ``rescaled_temperature``, but without columns, which belong to the rows as they were; for an array, an array:
        float64 for float64, else float32.

    Raises:
        InvalidOutputError: A row is no distribution.
        ValueError: The temperature or ``out`` is out of its domain.

    Examples:
        >>> rescale(np.array([[0.9, 0.1]]), temperature=2.0).round(6)
        array([[0.75, 0.25]])
    """
    source = rows_of(rows)
    number = isinstance(temperature, int | float | np.floating) and not isinstance(temperature, bool)
    if not number or not (math.isfinite(temperature) and temperature > 0):
        message = f"temperature: expected a finite number above 0, got {temperature!r}"
        raise ValueError(message)
    shape = (len(source), source.classes)
    if out is not None and (out.shape != shape or out.dtype.kind != "f"):
        message = f"out: expected floats of the shape {shape}, got {out.dtype} of the shape {out.shape}"
        raise ValueError(message)
    held = source.source if isinstance(source.source, Distributions) else None
    precise = held is None and source.source.dtype == np.float64
    found = np.empty(shape, np.float64 if precise else np.float32) if out is None else out

    def fill(part: slice) -> None:
        found[part] = rescaled(source.read(part), float(temperature))

    for _ in each_block(fill, *shape):
        pass
    if held is None:
        return found
    whole = float(temperature) * held.meta.get(RESCALED, 1.0)
    values = np.asarray(found, np.float32)
    meta = {**held.meta, RESCALED: whole}
    return Distributions.of_checked(values, held.indices, held.labels, meta, sample_keys=held.sample_keys)


def rescaled(rows: Floats, temperature: float) -> Floats:
    """Return ``softmax(log p / T)`` of float64 distributions; see ``rescale``."""
    with np.errstate(divide="ignore"):
        logs = np.log(rows)
    logs -= logs.max(axis=1, keepdims=True)
    logs /= temperature
    np.exp(logs, out=logs)
    logs /= logs.sum(axis=1, keepdims=True)
    return logs


@dataclass(frozen=True)
class Calibration:
    """What ``calibrate`` found; ``rescale(rows, calibration.temperature)`` applies it.

    Attributes:
        temperature: Fitted on one part of the samples.
        before: Mean distances to the votes on the other part, of the rows as they are, by name.
        after: The same of the rescaled rows.
        fitted_on: int64: the dataset indices of the samples that it was fitted on.
        reported_on: int64: those of the others, which the distances are of.
    """

    temperature: float
    before: dict[str, float | None]
    after: dict[str, float | None]
    fitted_on: npt.NDArray[np.int64]
    reported_on: npt.NDArray[np.int64]


def calibrate(rows: Any, by: HumanVotes, split: float = 0.5, seed: int = 0) -> Calibration:
    """Fit a temperature to human votes on one part of the samples, and report the distances on the other.

    Distances on the samples that a temperature was fitted on would flatter it. They are those of ``compare_to_humans``:
    total variation, Kullback-Leibler, Jensen-Shannon, and the unbiased squared distance, which alone does not depend on
    the number of votes.

    Args:
        rows: Distributions, a mapping from index to row, or floats of shape ``(samples, classes)``.
        by: The votes; samples without a vote are left out where both have indices.
        split: Which share of the samples to fit on, above 0 and below 1; they are drawn at random.
        seed: Of the draw.

    Raises:
        AlignmentError: No sample has votes.
        ValueError: The split is out of its domain or leaves a part empty, or no temperature is best.

    Examples:
        >>> from probly_data_generator_evaluation import sample_labels
        >>> truth = np.random.default_rng(0).dirichlet(np.ones(3), 2000)
        >>> votes = HumanVotes(sample_labels(truth, n=20, counts=True))
        >>> found = calibrate(rescale(truth, 0.5), by=votes)
        >>> abs(found.temperature - 2) < 0.1
        True
        >>> found.after["total_variation"] < found.before["total_variation"]
        True
    """
    source, human = rows_of(rows), by.as_rows()
    if source.keyed and human.keyed:
        source = source.take(np.flatnonzero(np.isin(source.indices, human.indices)))
    human = paired(source, human, "votes")
    votes = by.votes if human.chosen is None else by.votes[human.chosen]
    first = round(len(source) * split) if 0 < split < 1 else 0
    if not 0 < first < len(source):
        message = (
            f"split: expected a share above 0 and below 1 that leaves samples on both sides, got {split!r} of "
            f"{len(source)} samples with votes"
        )
        raise ValueError(message)
    order = np.random.default_rng(seed).permutation(len(source))
    fitted, reported = np.sort(order[:first]), np.sort(order[first:])
    temperature = fit_temperature(source.take(fitted), human.take(fitted)).temperature
    before, after = _mean_distances(source.take(reported), human.take(reported), votes[reported], temperature)
    return Calibration(temperature, before, after, source.indices[fitted], source.indices[reported])


def _mean_distances(
    rows: Rows, human: Rows, votes: npt.NDArray[np.int64], temperature: float
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return the mean distances of rows to frequencies, as they are and rescaled; None for what single votes lack."""

    def sums_of(part: slice) -> Floats:
        p, q, m = human.read(part), rows.read(part), votes[part]
        found = np.zeros((2, len(DISTANCES), 2))
        for both, own in zip(found, (q, rescaled(q, temperature)), strict=True):
            distances = total_variation(p, own), kullback_leibler(p, own), jensen_shannon(p, own)
            for sums, each in zip(both, (*distances, unbiased_squared_distance(p, m, own)), strict=True):
                sums[:] = np.nansum(each), np.count_nonzero(~np.isnan(each))
        return found

    total = sum(each_block(sums_of, len(rows), rows.classes), np.zeros((2, len(DISTANCES), 2)))
    before, after = (
        {name: float(sums[0] / sums[1]) if sums[1] else None for name, sums in zip(DISTANCES, both, strict=True)}
        for both in total
    )
    return before, after
