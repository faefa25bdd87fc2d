"""What a student is trained on, by name: rows, members, logits, the largest probabilities, a view per epoch."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.rows import FloatRows

__all__ = ["SparseTargets"]

PROBABILITIES, VIEW = "probabilities", "view"
TOP = re.compile(r"top-([1-9][0-9]*)")


class SparseTargets(NamedTuple):
    """The largest probabilities of some rows, and the mass of all others.

    Attributes:
        classes: int64, shape ``(rows, k)``: the class of each, the likeliest first.
        probabilities: float32, shape ``(rows, k)``: theirs.
        tail: float32, shape ``(rows,)``: what the others have together.
    """

    classes: Any
    probabilities: Any
    tail: Any


def check_targets(targets: Sequence[str], distributions: Distributions) -> tuple[str, ...]:
    """Return the names of targets.

    Args:
        targets: ``"probabilities"``, the row; ``"top-<k>"``, ``SparseTargets``; ``"view"``, the member whose turn it
            is in this epoch; or the name of one of ``distributions.columns``, such as ``"members"`` or ``"logits"``.
        distributions: What they are taken from.

    Raises:
        TypeError: They are no list of names.
        ValueError: There is no such target; the message lists those that there are.

    Examples:
        >>> check_targets(["top-2", "probabilities"], Distributions([[0.25, 0.75]]))
        ('top-2', 'probabilities')
    """
    if isinstance(targets, str) or not all(isinstance(name, str) for name in targets):
        message = f"targets: expected a list of names, got {targets!r}"
        raise TypeError(message)
    known = [PROBABILITIES, *distributions.columns, *([VIEW] if "members" in distributions.columns else [])]
    for name in targets:
        top = TOP.fullmatch(name)
        if top is not None:
            _check_top(int(top[1]), distributions)
        elif name not in known:
            more = "" if VIEW in known else "; views and members are kept by runs of several models, passes or views"
            message = f"targets: there is no {name!r}; there are {', '.join(known)} and top-<k>{more}"
            raise ValueError(message)
    if not targets:
        message = "targets: expected at least one name, got none"
        raise ValueError(message)
    return tuple(targets)


def _check_top(count: int, distributions: Distributions) -> None:
    kept = TOP.fullmatch(str(getattr(getattr(distributions, "spec", None), "encoding", "")))
    most = distributions.num_classes if kept is None else min(int(kept[1]), distributions.num_classes)
    if count > most and len(distributions):
        what = f"a row has {most} classes" if kept is None else f"the store keeps the {most} largest of a row"
        message = f"targets: top-{count}: {what}; ask for at most top-{most}"
        raise ValueError(message)


def read_target(name: str, distributions: Distributions, indices: npt.ArrayLike, epoch: int = 0) -> Any:
    """Return a target of some samples, which ``check_targets`` knows.

    Args:
        name: Its name.
        distributions: What it is taken from.
        indices: The dataset indices of the samples.
        epoch: Of ``"view"``: epoch e is given member e modulo their number.

    Returns:
        A new array with a row per index, or ``SparseTargets`` of such arrays.

    Raises:
        KeyError: An index has no distribution.

    Examples:
        >>> ensemble = Distributions([[0.5, 0.5]], columns={"members": [[[1.0, 0.0], [0.0, 1.0]]]})
        >>> [read_target("view", ensemble, [0], epoch).tolist() for epoch in range(3)]
        [[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]]]
    """
    if name == PROBABILITIES:
        return distributions.gather(indices)
    top = TOP.fullmatch(name)
    if top is not None:
        return sparse_targets(distributions.gather(indices), int(top[1]))
    if name == VIEW:
        members = distributions.gather_column("members", indices)
        return np.ascontiguousarray(members[:, epoch % members.shape[1]])
    return distributions.gather_column(name, indices)


def sparse_targets(rows: FloatRows, count: int) -> SparseTargets:
    """Return the largest probabilities of rows.

    Args:
        rows: float32, shape ``(rows, classes)``.
        count: How many of each row, at most all.

    Examples:
        >>> found = sparse_targets(np.float32([[0.125, 0.5, 0.25, 0.125]]), 2)
        >>> found.classes.tolist(), found.probabilities.tolist(), found.tail.tolist()
        ([[1, 2]], [[0.5, 0.25]], [0.25])
    """
    classes = rows.shape[1]
    chosen = np.argpartition(rows, classes - count, axis=1)[:, classes - count :] if count < classes else None
    if chosen is None:
        chosen = np.broadcast_to(np.arange(classes), rows.shape)
    chosen = np.sort(chosen, axis=1)  # of equal ones the first class stands first
    order = np.argsort(-np.take_along_axis(rows, chosen, axis=1), axis=1, kind="stable")
    chosen = np.take_along_axis(chosen, order, axis=1).astype(np.int64)
    kept = np.take_along_axis(rows, chosen, axis=1)
    rest = 1.0 - kept.sum(axis=1, dtype=np.float64) if count < classes else np.zeros(len(rows))
    return SparseTargets(chosen, kept, np.maximum(rest, 0.0).astype(np.float32))
