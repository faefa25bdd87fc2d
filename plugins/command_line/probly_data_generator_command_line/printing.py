"""What commands print: lines for people, or one JSON object for scripts."""

import contextlib
import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import click
import numpy as np


def emit(result: Mapping[str, Any], lines: Iterable[str], as_json: bool) -> None:
    """Print a result as one JSON object, or as lines."""
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False, allow_nan=False, default=_simple))
        return
    for line in lines:
        click.echo(line)


def apart(as_json: bool) -> contextlib.AbstractContextManager[Any]:
    """Return a block in which what the user's own code prints is no part of the one JSON object."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def _simple(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)


def named(pairs: Mapping[str, Any]) -> list[str]:
    """Return one line per entry, values under each other; entries that are None or empty are left out.

    Examples:
        >>> named({"rows": 3, "class names": "cat, dog", "labels": None})
        ['  rows         3', '  class names  cat, dog']
    """
    shown = {name: value for name, value in pairs.items() if value not in (None, "", [], {})}
    width = max(map(len, shown), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in shown.items()]


def table(rows: Sequence[Sequence[str]], *, left: Collection[int] = (0,)) -> list[str]:
    """Return lines with columns under each other, to the right but for those in ``left``.

    Examples:
        >>> table([["class", "mean"], ["cat", "0.5"]])
        ['  class  mean', '  cat     0.5']
    """
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            f"{cell:<{width}}" if place in left else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines


def number(value: float | None) -> str:
    """Return a number to read, or a dash for none.

    Examples:
        >>> number(0.123456), number(1e-9), number(None)
        ('0.1235', '1e-09', '-')
    """
    return "-" if value is None else f"{value:.4g}"


def shortened(names: Sequence[Any], most: int = 8) -> str:
    """Return the first names, and how many more there are.

    Examples:
        >>> shortened(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    shown = ", ".join(str(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
