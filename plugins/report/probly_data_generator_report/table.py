"""The small table that notebooks show of distributions."""

from typing import Any

import numpy as np

from probly.data_generator.distributions import Distributions
from probly.data_generator.metrics import class_indices
from probly_data_generator_report.markup import Html, element, join, table

ROWS = 5
CLASSES = 3


def distributions_table(distributions: Distributions) -> str:
    """Return the first rows as HTML: index, label and the largest probabilities with the names of their classes.

    Of a store, only the first shard is read.

    Examples:
        >>> distributions_table(Distributions([[0.25, 0.75]], meta={"class_names": ["cat", "dog"]}))[-85:]
        '<tr><th scope="row">0</th><td>dog 0.7500</td><td>cat 0.2500</td></tr></tbody></table>'
    """
    indices, rows, labels = _first_rows(distributions, ROWS)
    count = min(CLASSES, distributions.num_classes)
    names = distributions.class_names or [str(column) for column in range(distributions.num_classes)]
    shown = None if labels is None else _label_names(labels, names, distributions)
    cells = [
        [index, *([] if shown is None else [shown[place]]), *_largest(row, names, count)]
        for place, (index, row) in enumerate(zip(indices.tolist(), rows, strict=True))
    ]
    ranks = ["largest", "second", "third"][:count]
    head = ["index", *([] if shown is None else ["label"]), *ranks]
    return join(element("p", repr(distributions)), table(head, cells), _rest(distributions, len(cells)))


def _first_rows(distributions: Distributions, count: int) -> tuple[Any, Any, Any]:
    shards = getattr(distributions, "_shards", None)
    if shards is None:
        labels = distributions.labels
        return distributions.indices[:count], distributions.probabilities[:count], labels
    if not len(shards):
        return np.zeros(0, np.int64), np.zeros((0, distributions.num_classes)), None
    first, shard = shards.ranges[0], shards.shard(0)
    keys = shard.column("keys")
    indices = np.arange(first.start, first.stop) if keys is None else keys
    return indices[:count], shards.rows(0, slice(0, count)), shard.column("labels")


def _label_names(labels: Any, names: list[str], distributions: Distributions) -> list[str]:
    chosen = labels[:ROWS]
    try:
        columns = class_indices(chosen, distributions.num_classes, distributions.class_names)
    except ValueError:
        columns = None
    return [str(label) for label in chosen.tolist()] if columns is None else [names[column] for column in columns]


def _largest(row: Any, names: list[str], count: int) -> list[str]:
    return [f"{names[column]} {row[column]:.4f}" for column in np.argsort(-row, kind="stable")[:count].tolist()]


def _rest(distributions: Distributions, shown: int) -> Html:
    more = len(distributions) - shown
    return element("p", f"and {more:,} more") if more else Html("")
