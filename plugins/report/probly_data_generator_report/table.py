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

    Of a store, only the shards of these rows are read.

    Examples:
        >>> distributions_table(Distributions([[0.25, 0.75]], meta={"class_names": ["cat", "dog"]}))[-85:]
        '<tr><th scope="row">0</th><td>dog 0.7500</td><td>cat 0.2500</td></tr></tbody></table>'
    """
    first = distributions.head(ROWS)
    count = min(CLASSES, distributions.num_classes)
    names = distributions.class_names or [str(column) for column in range(distributions.num_classes)]
    shown = None if first.labels is None else _label_names(first.labels, names, distributions)
    cells = [
        [index, *([] if shown is None else [shown[place]]), *_largest(row, names, count)]
        for place, (index, row) in enumerate(first.items())
    ]
    ranks = ["largest", "second", "third"][:count]
    head = ["index", *([] if shown is None else ["label"]), *ranks]
    return join(element("p", repr(distributions)), table(head, cells), _rest(distributions, len(cells)))


def _label_names(labels: Any, names: list[str], distributions: Distributions) -> list[str]:
    try:
        columns = class_indices(labels, distributions.num_classes, distributions.class_names)
    except ValueError:
        columns = None
    return [str(label) for label in labels.tolist()] if columns is None else [names[column] for column in columns]


def _largest(row: Any, names: list[str], count: int) -> list[str]:
    return [f"{names[column]} {row[column]:.4f}" for column in np.argsort(-row, kind="stable")[:count].tolist()]


def _rest(distributions: Distributions, shown: int) -> Html:
    more = len(distributions) - shown
    return element("p", f"and {more:,} more") if more else Html("")
