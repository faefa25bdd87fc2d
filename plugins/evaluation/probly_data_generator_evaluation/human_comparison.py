"""How far a model is from human judgement, and how much of that is the noise of few votes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln
from scipy.stats import pearsonr, spearmanr

from probly.data_generator.toolkit.samples import Indices
from probly_data_generator_evaluation.blocks import Floats, each_block, entropies, paired, rows_of
from probly_data_generator_evaluation.credal_sets import Flags
from probly_data_generator_evaluation.distances import (
    jensen_shannon,
    kullback_leibler,
    squared_distance,
    total_variation,
    unbiased_squared_distance,
)
from probly_data_generator_evaluation.human_votes import HumanVotes
from probly_data_generator_evaluation.philox import ONE, WIDTH, draws

SCORES = (
    "total_variation",
    "kullback_leibler",
    "jensen_shannon",
    "squared_distance",
    "entropy",
    "human_entropy",
    "ranking",
    "total_variation_of_noise",
    "corrected_kullback_leibler",
    "unbiased_squared_distance",
    "corrected_human_entropy",
    "half_total_variation",
    "half_jensen_shannon",
    "half_entropy",
    "other_half_entropy",
)


@dataclass(frozen=True)
class HumanComparison:
    """Distances of each row to the votes of humans; see ``compare_to_humans`` for the formulas.

    Attributes:
        indices: int64, shape ``(samples,)``: the dataset index of each.
        votes: int64, shape ``(samples,)``: how many voted.
        scores: float64, shape ``(samples,)`` each, by name.
    """

    indices: Indices
    votes: Indices
    scores: dict[str, Floats]

    def __getitem__(self, name: str) -> Floats:
        """Return a score of each sample."""
        return self.scores[name]

    def summary(self) -> dict[str, float | int | None]:
        """Return the means over the samples, the correlations of the entropies, and what noise leaves of them.

        ``entropy_correlation`` is Pearson's, ``entropy_rank_correlation`` Spearman's. ``entropy_correlation_ceiling``
        is what a model with exactly the humans' entropies could reach against these votes: the square root of their
        reliability, which is the correlation ``r`` of the entropies of two halves of the votes, stepped up to all of
        them as ``2 r / (1 + r)`` (Spearman 1910, https://doi.org/10.1111/j.2044-8295.1910.tb00206.x; Brown 1910,
        https://doi.org/10.1111/j.2044-8295.1910.tb00207.x). What cannot be computed is None: correlations of fewer
        than three samples or of constants, halves of single votes.

        Examples:
            >>> rows = np.array([[0.5, 0.5], [0.9, 0.1], [0.7, 0.3]])
            >>> found = compare_to_humans(rows, HumanVotes([[5, 5], [9, 1], [7, 3]])).summary()
            >>> round(found["entropy_correlation"], 6), found["ranking"], found["total_variation"]
            (1.0, 1.0, 0.0)
        """
        found: dict[str, float | int | None] = {"samples": len(self.indices)}
        for name in SCORES:
            values = self.scores[name][~np.isnan(self.scores[name])]
            found[name] = float(values.mean()) if len(values) else None
        found["fewest_votes"] = int(self.votes.min()) if len(self.votes) else None
        found["entropy_correlation"] = _correlation(pearsonr, self["entropy"], self["human_entropy"])
        found["entropy_rank_correlation"] = _correlation(spearmanr, self["entropy"], self["human_entropy"])
        half = _correlation(pearsonr, self["half_entropy"], self["other_half_entropy"])
        reliability = None if half is None else max(0.0, 2 * half / (1 + half)) if half > -1 else 0.0
        found["entropy_correlation_ceiling"] = None if reliability is None else float(np.sqrt(reliability))
        return found


def compare_to_humans(distributions: Any, votes: HumanVotes, seed: int = 0) -> HumanComparison:
    r"""Return how far each row ``q`` is from the votes for its sample, in nats where logarithms are taken.

    With ``m`` votes, ``n_c`` of them for class ``c``, and their frequencies ``p_c = n_c / m``:

    - ``total_variation``: ``sum_c |p_c - q_c| / 2``, which Baan et al. 2022 (https://arxiv.org/abs/2210.16133)
      call DistCE; ``kullback_leibler``: ``sum_c p_c log(p_c / q_c)`` and ``jensen_shannon``, as in Nie et al. 2020
      (https://arxiv.org/abs/2010.03532); ``squared_distance``: ``sum_c (p_c - q_c)^2``;
    - ``entropy`` of the row and ``human_entropy`` of the votes, whose difference is EntCE of Baan et al.;
    - ``ranking``: 1 where the row has the classes in the order of the votes, else 0 (RankCS of Baan et al.); classes
      with as many votes may be in any order.

    The frequencies of few votes are far from the distribution ``p*`` that they were drawn from, so that even ``p*``
    has a distance to them. What knows about that noise:

    - ``unbiased_squared_distance``: ``sum_c (p_c - q_c)^2 - sum_c p_c (1 - p_c) / (m - 1)``, whose expectation is
      ``sum_c (p*_c - q_c)^2``, since ``E |p - p*|^2 = sum_c p*_c (1 - p*_c) / m``; it may be below 0; NaN for one vote;
    - ``total_variation_of_noise``: what total variation would be expected if the row were ``p*``: half the sum of the
      mean absolute deviations of ``Binomial(m, q_c) / m``, in De Moivre's closed form (Diaconis and Zabell 1991,
      https://doi.org/10.1214/ss/1177011699): a model cannot be told from the truth below it;
    - ``corrected_human_entropy`` and ``corrected_kullback_leibler``: plus and minus ``(classes with votes - 1) / 2m``
      (Miller 1955, Note on the bias of information estimates);
    - ``half_total_variation`` and ``half_jensen_shannon``: between two halves of the votes, drawn without replacement:
      what humans are from each other, with half as many votes; ``half_entropy`` and ``other_half_entropy`` of the two.
      NaN for a single vote. The halves depend on nothing but the seed and the index of the sample.

    Args:
        distributions: Distributions, a mapping from index to row, or floats of shape ``(samples, classes)``.
        votes: With indices, those of samples that have no row are left out; without, there must be one per row.
        seed: Of the halves.

    Returns:
        The scores of every sample, whose ``summary`` has the means.

    Raises:
        AlignmentError: A row has no votes.
        ValueError: There is another number of classes, or their names are in another order.

    Examples:
        >>> found = compare_to_humans(np.array([[0.5, 0.5]]), HumanVotes([[8, 2]]))
        >>> found["total_variation"].round(6), found["unbiased_squared_distance"].round(6)
        (array([0.3]), array([0.144444]))
    """
    rows = rows_of(distributions, "distributions")
    human = paired(rows, votes.as_rows(), "votes")
    chosen = human.chosen
    found = np.full((len(SCORES), len(rows)), np.nan)
    numbers = votes.votes if chosen is None else votes.votes[chosen]
    most = int(numbers.max(initial=1))

    def fill(part: slice) -> None:
        q, m = rows.read(part), numbers[part]
        counts = np.asarray(votes.counts[part] if chosen is None else votes.counts[chosen[part]])
        counts = counts.astype(np.int64)
        p = counts / m[:, None]
        human_entropy, divergence = entropies(p), kullback_leibler(p, q)
        missing = ((counts > 0).sum(axis=1) - 1) / (2 * m)
        found[:11, part] = (
            total_variation(p, q),
            divergence,
            jensen_shannon(p, q),
            squared_distance(p, q),
            entropies(q),
            human_entropy,
            _same_order(counts, q),
            expected_total_variation(q, m),
            divergence - missing,
            unbiased_squared_distance(p, m, q),
            human_entropy + missing,
        )
        first, second, halved = _halves(counts, m, seed, human.indices[part], most)
        places = np.arange(part.start, part.stop)[halved]
        found[11:, places] = (
            total_variation(first, second),
            jensen_shannon(first, second),
            entropies(first),
            entropies(second),
        )

    for _ in each_block(fill, len(rows), max(rows.classes, most, WIDTH)):
        pass
    return HumanComparison(rows.indices, numbers, dict(zip(SCORES, found, strict=True)))


def _same_order(counts: Indices, rows: Floats) -> Flags:
    """Return where no class with fewer votes has as large an entry as one with more."""
    voted = counts > 0
    lowest = np.where(voted, rows, np.inf).min(axis=1)
    agree: Flags = np.where(voted, -np.inf, rows).max(axis=1) < lowest  # which few rows of many classes pass
    rows, counts = rows[agree], counts[agree]
    order = np.argsort(-rows, axis=1)
    votes, entries = np.take_along_axis(counts, order, axis=1), np.take_along_axis(rows, order, axis=1)
    falling = votes[:, :-1] >= votes[:, 1:]
    tied = (entries[:, :-1] == entries[:, 1:]) & (votes[:, :-1] != votes[:, 1:])
    agree[agree] = np.logical_and.reduce(falling & ~tied, axis=1)
    return agree


def expected_total_variation(rows: Floats, votes: Indices) -> Floats:
    """Return the total variation that is expected between a distribution and the frequencies of votes drawn from it.

    ``sum_c E|X_c - m q_c| / 2m`` with ``X_c`` of ``Binomial(m, q_c)``, where ``E|X - m q| = 2 v C(m, v) q^v
    (1 - q)^(m - v + 1)`` with ``v = floor(m q) + 1``: De Moivre 1730, in Diaconis and Zabell 1991,
    https://doi.org/10.1214/ss/1177011699, theorem 1.

    Args:
        rows: float64 distributions, shape ``(N, classes)``.
        votes: Whole numbers of at least 1, shape ``(N,)``.

    Examples:
        >>> expected_total_variation(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([2, 2]))
        array([0.25, 0.  ])
    """
    m = votes[:, None]
    logs = gammaln(np.arange(int(votes.max(initial=1)) + 1) + 1.0)  # of factorials
    v = np.minimum((m * rows).astype(np.int64) + 1, m)  # a q of 1 has no deviation, whatever v
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = logs[m] - logs[v - 1] - logs[m - v] + v * np.log(rows) + (m - v + 1) * np.log(1.0 - rows)
    deviations = np.where((rows > 0) & (rows < 1), np.exp(terms), 0.0)
    found: Floats = deviations.sum(axis=1) / votes
    return found


def _halves(counts: Indices, votes: Indices, seed: int, indices: Indices, most: int) -> tuple[Floats, Floats, Flags]:
    """Return the frequencies of two halves of the votes of each sample that has two; the odd one is in neither."""
    halved = votes > 1
    counts, votes = counts[halved], votes[halved]
    samples, classes = counts.shape
    row, column = np.nonzero(counts)
    label = np.repeat(column, counts[row, column])
    owner = np.repeat(row, counts[row, column])
    place = np.arange(len(label)) - np.repeat(np.cumsum(votes) - votes, votes)
    drawn = draws(seed, indices[halved], 0, most)[owner, place]
    order = np.argsort(drawn + owner.astype(np.uint64) * ONE)  # each sample's votes stay together, in a random order
    half = (votes // 2)[owner]
    found = []
    for chosen in (place < half, (place >= half) & (place < 2 * half)):
        flat = owner[order][chosen] * classes + label[order][chosen]
        found.append(np.bincount(flat, minlength=counts.size).reshape(samples, classes) / (votes // 2)[:, None])
    return found[0], found[1], halved


def _correlation(measure: Any, first: Floats, second: Floats) -> float | None:
    both = ~(np.isnan(first) | np.isnan(second))
    first, second = first[both].round(12), second[both].round(12)  # or the last bits would order what is equal
    if len(first) < 3 or np.ptp(first) < 1e-12 or np.ptp(second) < 1e-12:
        return None
    return float(measure(first, second)[0])
