"""How far two distributions are apart: the formulas, with their sources."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from probly_data_generator_evaluation.blocks import SMALLEST, Floats, entropies


def total_variation(p: Floats, q: Floats) -> Floats:
    """Return ``sum_c |p_c - q_c| / 2``, in [0, 1]; see Levin and Peres 2017, https://doi.org/10.1090/mbk/107.

    Args:
        p: float64 distributions, shape ``(..., classes)``, and so for all distances here.
        q: Others, of a shape that fits.

    Examples:
        >>> total_variation(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
        np.float64(0.5)
    """
    found: Floats = np.abs(p - q).sum(axis=-1) / 2
    return found


def euclidean(p: Floats, q: Floats) -> Floats:
    """Return ``sqrt(sum_c (p_c - q_c)^2)``, in [0, sqrt(2)].

    Examples:
        >>> euclidean(np.array([1.0, 0.0]), np.array([0.0, 1.0])).round(4)
        np.float64(1.4142)
    """
    found: Floats = np.sqrt(squared_distance(p, q))
    return found


def squared_distance(p: Floats, q: Floats) -> Floats:
    """Return ``sum_c (p_c - q_c)^2``, in [0, 2].

    Examples:
        >>> squared_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
        np.float64(2.0)
    """
    differences = p - q
    found: Floats = np.einsum("...k,...k->...", differences, differences)
    return found


def unbiased_squared_distance(p: Floats, votes: npt.NDArray[np.int64], q: Floats) -> Floats:
    """Return what the squared distance of frequencies is less the part that their noise is expected to have.

    ``sum_c (p_c - q_c)^2 - sum_c p_c (1 - p_c) / (m - 1)``, whose expectation is ``sum_c (p*_c - q_c)^2``, where ``p``
    are the frequencies of ``m`` votes from ``p*``, since ``E |p - p*|^2 = sum_c p*_c (1 - p*_c) / m`` (the variance of
    the multinomial), and ``E sum_c p_c (1 - p_c) = sum_c p*_c (1 - p*_c) (m - 1) / m``. It may be below 0.

    Args:
        p: Frequencies, shape ``(N, classes)``.
        votes: How many votes each has, shape ``(N,)``; one vote gives NaN.
        q: Distributions, shape ``(N, classes)``.

    Examples:
        >>> unbiased_squared_distance(np.array([[0.5, 0.5]]), np.array([2]), np.array([[0.5, 0.5]]))
        array([-0.5])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = (p * (1 - p)).sum(axis=1) / (votes - 1)
    return np.where(votes > 1, squared_distance(p, q) - noise, np.nan)


def hellinger(p: Floats, q: Floats) -> Floats:
    """Return ``sqrt(sum_c (sqrt(p_c) - sqrt(q_c))^2 / 2)``, in [0, 1], which is ``sqrt(1 - sum_c sqrt(p_c q_c))``.

    Source: Hellinger (1909), https://doi.org/10.1515/crll.1909.136.210. The first form keeps the digits of small ones.

    Examples:
        >>> hellinger(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
        np.float64(1.0)
    """
    found: Floats = np.sqrt(squared_distance(np.sqrt(p), np.sqrt(q)) / 2)
    return found


def kullback_leibler(p: Floats, q: Floats) -> Floats:
    """Return ``sum_c p_c log(p_c / q_c)`` in nats, at least 0, where a ``q_c`` of 0 counts as the smallest float32.

    Source: Kullback and Leibler (1951), https://doi.org/10.1214/aoms/1177729694. ``0 log 0 = 0``.

    Examples:
        >>> kullback_leibler(np.array([1.0, 0.0]), np.array([0.5, 0.5])).round(4)
        np.float64(0.6931)
    """
    cross = -(p * np.log(np.maximum(q, SMALLEST))).sum(axis=-1)
    found: Floats = np.maximum(cross - entropies(p), 0.0)
    return found


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    """Return ``H((p + q) / 2) - (H(p) + H(q)) / 2`` in nats, in [0, log 2]; its square root is a metric.

    Source: Lin (1991), https://doi.org/10.1109/18.61115.

    Examples:
        >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])).round(4)
        np.float64(0.6931)
    """
    found: Floats = np.maximum(entropies((p + q) / 2) - (entropies(p) + entropies(q)) / 2, 0.0)
    return found


DISTANCES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "total_variation": total_variation,
    "hellinger": hellinger,
    "euclidean": euclidean,
}
"""Those that balls are made of."""


def envelope(centres: Floats, radii: Floats, distance: str) -> tuple[Floats, Floats]:
    """Return the smallest and the largest probability of each class within balls.

    Exact for total variation (``p_c -+ r``) and Hellinger (with ``1 - r^2 = cos t``: ``sin(asin sqrt(p_c) -+ t)^2``,
    reached where the other classes are scaled alike); both within [0, 1]. For the Euclidean distance
    ``p_c -+ r sqrt((K - 1) / K)`` within [0, 1], which the ball reaches unless another class is at 0 before.

    Args:
        centres: float64, shape ``(N, classes)``.
        radii: float64, shape ``(N, 1)``.
        distance: A name of ``DISTANCES``.

    Examples:
        >>> envelope(np.array([[0.05, 0.95]]), np.array([[0.1]]), "total_variation")
        (array([[0.  , 0.85]]), array([[0.15, 1.  ]]))
    """
    classes = centres.shape[1]
    if classes == 1:
        return centres, centres
    if distance == "hellinger":
        angles, turn = np.arcsin(np.sqrt(np.minimum(centres, 1.0))), np.arccos(np.clip(1.0 - radii**2, -1.0, 1.0))
        lower = np.sin(np.maximum(angles - turn, 0.0)) ** 2
        return lower, np.sin(np.minimum(angles + turn, np.pi / 2)) ** 2
    reach = radii * np.sqrt((classes - 1) / classes) if distance == "euclidean" else radii
    return np.maximum(centres - reach, 0.0), np.minimum(centres + reach, 1.0)
