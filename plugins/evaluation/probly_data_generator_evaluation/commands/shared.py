"""What the commands share: how they are declared, what they open, and how they print.

Names, keys and labels come from files of strangers. All that is printed passes ``say``, which leaves no character in
it that a terminal would obey.
"""

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import StoreError
from probly.data_generator.formats.choosing import load
from probly.data_generator.toolkit.places import Place, place_of

Function = TypeVar("Function", bound=Callable[..., Any])

# Controls of ASCII and of ISO 6429, line and paragraph separators, what turns the direction of writing around, and
# halves of characters, which cannot be encoded.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

a_path = click.Path(path_type=Path)


class PlaceType(click.Path):
    """A path, or the URL of a store, which a path would spoil."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a path, or a URL."""
        return place_of(os.fsdecode(super().convert(value, param, ctx)))


file_argument = click.argument("file", type=PlaceType())
labels_option = click.option(
    "--labels",
    type=a_path,
    help="Labels, in place of FILE's own: .npy, .npz (`labels`, `label` or `y`), or a file of distributions.",
)
votes_option = click.option(
    "--votes", type=a_path, help="Human votes: .csv, .npy or .npz of counts, .json of DCIC, .jsonl of ChaosNLI."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for scripts.")


def seed_option(text: str) -> Callable[[Function], Function]:
    """Return the option of a seed with its help."""
    return click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help=text)


def subcommand(name: str, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a command with an example in its help, and ``--debug``, as all commands have it."""
    lines = "\n".join(f"  {line}" for line in example.splitlines())

    def make(function: Callable[..., Any]) -> click.Command:
        command: click.Command = click.command(name, epilog=f"\b\nExample:\n{lines}\n")(function)
        debug = click.Option(
            ["--debug"], is_flag=True, expose_value=False, help="Print the traceback of an error, too."
        )
        command.params.append(debug)
        return command

    return make


def opened(path: Place) -> Distributions:
    """Open a complete store, or a file of distributions, with at least one row.

    Raises:
        FileNotFoundError: There is none.
        StoreError: It is damaged, incomplete or empty.
        ValueError: The suffix names no format.
    """
    try:
        distributions, _ = load(path)
    except StoreError as error:
        if isinstance(path, Path) and (path / "spec.json").is_file() and not (path / "manifest.json").exists():
            error.add_note("that is the same `first-order generate` command once more")
        raise
    if not len(distributions):
        message = f"{path}: has no rows"
        raise StoreError(message)
    return distributions


def check_new(path: Path) -> None:
    """Refuse a place where something is, or that lies in a store, whose folder holds nothing but its own files.

    Raises:
        ValueError: It is one of these.
    """
    if os.path.lexists(path):
        message = f"{path}: exists, and was left as it is; choose another --out, or remove it"
        raise ValueError(message)
    for folder in path.absolute().parents:
        if (folder / "spec.json").exists() and (folder / "shards").is_dir():
            message = f"{path}: lies in the store {folder}; choose another --out"
            raise ValueError(message)


def escaped(text: str) -> str:
    r"""Return a text of one line in which characters that a terminal obeys are written as JSON writes them.

    Examples:
        >>> print(escaped("cat" + chr(27) + "[2J" + chr(10) + "dog"))
        cat\u001b[2J\u000adog
    """
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(line: str) -> None:
    """Print a line."""
    click.echo(escaped(line))


def emit(result: Mapping[str, Any], lines: Iterable[str], as_json: bool) -> None:
    """Print a result as one JSON object, or as lines."""
    for line in [json.dumps(result, ensure_ascii=False, allow_nan=False)] if as_json else lines:
        say(line)


def number(value: float | None) -> str:
    """Return a number to read, or a dash for none.

    Examples:
        >>> number(0.123456), number(1e-9), number(None)
        ('0.1235', '1e-09', '-')
    """
    return "-" if value is None else f"{value:.4g}"


def table(rows: Sequence[Sequence[Any]], *, left: Collection[int] = (0,)) -> list[str]:
    """Return lines with columns under each other, to the right but for those in ``left``.

    Examples:
        >>> table([["set", "rate"], ["hulls", 0.5]])
        ['  set    rate', '  hulls   0.5']
    """
    cells = [[escaped(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = [
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(padded).rstrip())
    return lines
