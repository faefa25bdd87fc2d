"""How much of the uncertainty is the data's, and how much is the models': the decompositions of members."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from probly.data_generator.toolkit.samples import Indices
from probly_data_generator_evaluation.blocks import Floats, each_block, entropies, members_of

SCORES = (
    "total",
    "aleatoric",
    "epistemic",
    "total_variance",
    "aleatoric_variance",
    "epistemic_variance",
    "disagreement",
)


@dataclass(frozen=True)
class Decomposition:
    """The uncertainty of each sample; see ``decompose`` for the formulas.

    Attributes:
        indices: int64, shape ``(samples,)``: the dataset index of each.
        members: How many members there were.
        total: float64, shape ``(samples,)``, in nats, and so are ``aleatoric`` and ``epistemic``.
        aleatoric: Of the data.
        epistemic: Of the models: the mutual information.
        total_variance: float64, shape ``(samples,)``, in [0, 1 - 1 / classes], and so are the other two.
        aleatoric_variance: Of the data.
        epistemic_variance: Of the models.
        disagreement: float64, shape ``(samples,)``, in [0, 1].
    """

    indices: Indices
    members: int
    total: Floats
    aleatoric: Floats
    epistemic: Floats
    total_variance: Floats
    aleatoric_variance: Floats
    epistemic_variance: Floats
    disagreement: Floats

    def means(self) -> dict[str, float | None]:
        """Return the mean of each score over the samples; None where there are none.

        Examples:
            >>> decompose(np.array([[[1.0, 0.0], [0.0, 1.0]]])).means()["disagreement"]
            1.0
        """
        return {name: float(getattr(self, name).mean()) if len(self.indices) else None for name in SCORES}


def decompose(members: Any) -> Decomposition:
    r"""Return how uncertain each sample is, and whether the data or the models are.

    With the members ``p_m`` of a sample, ``m = 1 ... M``, their mean ``q``, and the entropy ``H``:

    - total ``H(q)``, aleatoric ``sum_m H(p_m) / M``, epistemic the difference, which is the mutual information of
      label and member (Houlsby et al. 2011, https://arxiv.org/abs/1112.5745; Depeweg et al. 2018,
      https://arxiv.org/abs/1710.07283), in nats;
    - total variance ``sum_c q_c (1 - q_c)``, aleatoric ``sum_m sum_c p_mc (1 - p_mc) / M``, epistemic the difference,
      which is ``sum_c Var_m p_mc`` (the law of total variance, per class: Depeweg et al. 2018; Sale et al. 2023,
      https://arxiv.org/abs/2401.00276);
    - disagreement: the share of the pairs of members whose largest entries are of different classes (Fort, Hu and
      Lakshminarayanan 2019, https://arxiv.org/abs/1912.02757). A member with several largest entries
      counts in equal shares for each.

    Every row is divided by its sum in float64, and everything is computed in float64, block by block.

    Args:
        members: Floats of shape ``(samples, members, classes)``, each row a distribution, maybe a memory map; or an
            object with such an array as ``members``.

    Returns:
        Arrays with one number per sample. With a single member, epistemic and disagreement are 0.

    Raises:
        InvalidOutputError: A row is no distribution; the message names its index and its member.
        TypeError: They are no floats.
        ValueError: They have another shape.

    Examples:
        >>> sure_but_different = [[1.0, 0.0], [0.0, 1.0]]
        >>> unsure_alike = [[0.5, 0.5], [0.5, 0.5]]
        >>> found = decompose(np.array([sure_but_different, unsure_alike]))
        >>> found.total.round(4), found.aleatoric.round(4), found.epistemic.round(4)
        (array([0.6931, 0.6931]), array([0.    , 0.6931]), array([0.6931, 0.    ]))
        >>> found.epistemic_variance, found.disagreement
        (array([0.5, 0. ]), array([1. , 0.5]))
    """
    source = members_of(members)
    found = np.zeros((len(SCORES), len(source)))

    def fill(part: slice) -> None:
        rows = source.read(part)
        mean = rows.mean(axis=1)
        total, aleatoric = entropies(mean), entropies(rows).mean(axis=1)
        total_variance = 1.0 - np.einsum("nk,nk->n", mean, mean)
        aleatoric_variance = 1.0 - np.einsum("nmk,nmk->n", rows, rows) / source.members
        found[:, part] = (
            total,
            aleatoric,
            np.maximum(total - aleatoric, 0.0),
            total_variance,
            aleatoric_variance,
            np.maximum(total_variance - aleatoric_variance, 0.0),
            _disagreement(rows),
        )

    for _ in each_block(fill, len(source), source.members * source.classes):
        pass
    return Decomposition(source.indices, source.members, *found)


def _disagreement(rows: Floats) -> Floats:
    """Return the share of pairs that disagree: the votes of all with all, less those of each with itself."""
    members = rows.shape[1]
    if members == 1:
        return np.zeros(len(rows))
    tops = (rows == rows.max(axis=2, keepdims=True)).astype(np.float64)
    tops /= tops.sum(axis=2, keepdims=True)
    votes = tops.sum(axis=1)
    agreeing = np.einsum("nk,nk->n", votes, votes) - np.einsum("nmk,nmk->n", tops, tops)
    found: Floats = np.maximum(1.0 - agreeing / (members * (members - 1)), 0.0)
    return found
