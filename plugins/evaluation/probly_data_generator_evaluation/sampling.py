"""Drawing labels from distributions, which makes p(y|x) exactly what is stored: what semi-synthetic studies need."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly_data_generator_evaluation.blocks import NUMBERS_AT_ONCE, Rows, each_block, rows_of
from probly_data_generator_evaluation.philox import BITS, ONE, WIDTH, draws


def sample_labels(
    distributions: Any, n: int = 1, seed: int = 0, *, counts: bool = False, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    r"""Draw labels from each distribution, as many humans would vote if the distributions were true.

    The label of a draw ``u`` is the first class whose cumulative probability is above ``u``, a multiple of ``2**-53``
    (inversion: Devroye 1986, https://doi.org/10.1007/978-1-4613-8643-8, chapter III.2), from rows that are divided by
    their sum in float64. The draws are those of Philox, keyed by the seed and the dataset index of the row: a label
    depends on nothing else, neither on the order of rows, nor on shards, processes, or how many are drawn. The first
    labels of a larger ``n`` are those of a smaller one.

    Args:
        distributions: Distributions, a mapping from index to row, or floats of shape ``(samples, classes)``, whose
            places are their indices.
        n: How many labels per row, at least 1.
        seed: From 0 to ``2**64 - 1``.
        counts: Whether to return how often each class was drawn, in place of the labels.
        out: Where to write, such as a memory map where the result is too large for memory; integers of the shape of
            the result, whose dtype has room for it.

    Returns:
        Labels as class positions, shape ``(samples, n)``; or counts, shape ``(samples, classes)``, each row summing to
        ``n``. int64, or ``out``.

    Raises:
        InvalidOutputError: A row is no distribution.
        ValueError: ``n``, ``seed`` or ``out`` is out of its domain.

    Examples:
        >>> rows = np.array([[0.5, 0.5], [0.0, 1.0]])
        >>> sample_labels(rows, n=4, seed=1)
        array([[0, 1, 0, 0],
               [1, 1, 1, 1]])
        >>> sample_labels(rows, n=1000, seed=1, counts=True)
        array([[ 503,  497],
               [   0, 1000]])
    """
    rows = rows_of(distributions, "distributions")
    _check(n, seed)
    shape = (len(rows), rows.classes if counts else n)
    found = np.empty(shape, np.int64) if out is None else _checked(out, shape, max(n, rows.classes - 1))

    def fill(part: slice) -> None:
        edges = _edges(rows, part)
        indices = rows.indices[part]
        if counts:
            found[part] = 0
        step = max(4, NUMBERS_AT_ONCE // max(1, len(edges)) // 4 * 4)
        for start in range(0, n, step):
            count = min(step, n - start)
            labels = _search(edges, draws(seed, indices, start, count))
            if counts:
                places = labels + np.arange(len(edges))[:, None] * rows.classes
                drawn = np.bincount(places.ravel(), minlength=edges.size).reshape(edges.shape)
                found[part] += drawn.astype(found.dtype)
            else:
                found[part, start : start + count] = labels

    for _ in each_block(fill, len(rows), max(rows.classes, WIDTH)):
        pass
    return found


def _edges(rows: Rows, part: slice) -> npt.NDArray[np.uint64]:
    """Return the cumulative probabilities of a block as whole numbers of 53 bits; the last is one."""
    cumulated = np.cumsum(rows.read(part), axis=1)
    cumulated /= cumulated[:, -1:]
    return np.rint(cumulated * 2.0**BITS).astype(np.uint64)


def _search(edges: npt.NDArray[np.uint64], drawn: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the class of each draw, by one search over all rows: each row's numbers stand above those before it."""
    before = np.arange(len(edges), dtype=np.uint64)[:, None] * ONE
    places = np.searchsorted((edges + before).ravel(), (drawn + before).ravel(), side="right").reshape(drawn.shape)
    labels: npt.NDArray[np.int64] = places - np.arange(len(edges))[:, None] * edges.shape[1]
    return labels


def _check(n: int, seed: int) -> None:
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        message = f"n: expected how many labels to draw per row, at least 1, got {n!r}"
        raise ValueError(message)
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**64:
        message = f"seed: expected a whole number from 0 to 2**64 - 1, got {seed!r}"
        raise ValueError(message)


def _checked(out: npt.NDArray[Any], shape: tuple[int, int], largest: int) -> npt.NDArray[Any]:
    if out.shape != shape or out.dtype.kind not in "iu" or np.iinfo(out.dtype).max < largest:
        message = (
            f"out: expected integers up to {largest} of the shape {shape}, got {out.dtype} of the shape {out.shape}"
        )
        raise ValueError(message)
    return out
