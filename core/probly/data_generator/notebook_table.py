"""The small table that notebooks show of distributions."""

import html
from typing import Any

import numpy as np

from probly.data_generator.labels import class_columns

ROWS = 5
CLASSES = 3
RANKS = ("largest", "second", "third")


def distributions_table(distributions: Any) -> str:
    """Return the first rows as HTML: index, label and the largest probabilities with the names of their classes.

    Of a store, only the shards of these rows are read.

    Args:
        distributions: A Distributions.

    Examples:
        >>> from probly.data_generator import Distributions
        >>> distributions_table(Distributions([[0.25, 0.75]], meta={"class_names": ["cat", "dog"]}))[-85:]
        '<tr><th scope="row">0</th><td>dog 0.7500</td><td>cat 0.2500</td></tr></tbody></table>'
    """
    first = distributions.head(ROWS)
    names = distributions.class_names or [str(column) for column in range(distributions.num_classes)]
    labels = None if first.labels is None else _label_names(first.labels, names, distributions)
    count = min(CLASSES, distributions.num_classes)
    head = ["index", *([] if labels is None else ["label"]), *RANKS[:count]]
    lines = []
    for place, (index, row) in enumerate(first.items()):
        largest = np.argsort(-row, kind="stable")[:count].tolist()
        cells = [
            *([] if labels is None else [labels[place]]),
            *(f"{names[column]} {row[column]:.4f}" for column in largest),
        ]
        lines.append(f'<tr><th scope="row">{index}</th>{"".join(f"<td>{_escaped(cell)}</td>" for cell in cells)}</tr>')
    heading = "".join(f'<th scope="col">{name}</th>' for name in head)
    more = len(distributions) - len(lines)
    return (
        f"<p>{_escaped(repr(distributions))}</p>"
        f"<table><thead><tr>{heading}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        + (f"<p>and {more:,} more</p>" if more else "")
    )


def _label_names(labels: Any, names: list[str], distributions: Any) -> list[str]:
    """Return the name of the class of each label; a label that is none of them, as it is."""
    columns = class_columns(labels, distributions.num_classes, distributions.class_names, distributions.classes).columns
    places = [-1] * len(labels) if columns is None else columns.tolist()
    return [str(label) if at < 0 else names[at] for label, at in zip(labels.tolist(), places, strict=True)]


def _escaped(text: str) -> str:
    """Return text for a page: no mark-up, no control characters, no halves of surrogate pairs."""
    shown = (character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return html.escape("".join(shown), quote=False)
