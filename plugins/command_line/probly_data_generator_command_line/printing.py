"""What commands print: lines for people, or one JSON object for scripts.

Names, labels, keys and metadata come from files of strangers. All that we print passes ``say``, which leaves no
character in it that a terminal would obey.
"""

import contextlib
import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import click

# Controls of ASCII and of ISO 6429, line and paragraph separators, what turns the direction of writing around, and
# halves of characters, which cannot be encoded.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    r"""Return a text of one line in which characters that a terminal obeys are written as JSON writes them.

    Examples:
        >>> print(escaped("cat" + chr(27) + "[2J" + chr(10) + "dog"))
        cat\u001b[2J\u000adog
    """
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(line: str, *, err: bool = False) -> None:
    """Print a line, on standard error with ``err``."""
    click.echo(escaped(line), err=err)


def emit(result: Mapping[str, Any], lines: Iterable[str], as_json: bool) -> None:
    """Print a result as one JSON object, or as lines."""
    if as_json:
        say(json.dumps(result, ensure_ascii=False, allow_nan=False, default=_simple))
        return
    for line in lines:
        say(line)


def apart(as_json: bool) -> contextlib.AbstractContextManager[Any]:
    """Return a block in which what the user's own code prints is no part of the one JSON object."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def _simple(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy, which the list of commands does without
        return value.tolist()
    return str(value)


def named(pairs: Mapping[str, Any]) -> list[str]:
    """Return one line per entry, values under each other; entries that are None or empty are left out.

    Examples:
        >>> named({"rows": 3, "class names": "cat, dog", "labels": None})
        ['  rows         3', '  class names  cat, dog']
    """
    shown = {escaped(name): value for name, value in pairs.items() if value not in (None, "", [], {})}
    width = max(map(len, shown), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in shown.items()]


def table(rows: Sequence[Sequence[str]], *, left: Collection[int] = (0,)) -> list[str]:
    """Return lines with columns under each other, to the right but for those in ``left``.

    Examples:
        >>> table([["class", "mean"], ["cat", "0.5"]])
        ['  class  mean', '  cat     0.5']
    """
    rows = [[escaped(cell) for cell in row] for row in rows]
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
