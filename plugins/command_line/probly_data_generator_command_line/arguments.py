"""Options and arguments that several commands have, and how their texts are read."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from probly.data_generator.toolkit.places import Url

Function = TypeVar("Function", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for scripts.")
debug_option = click.option("--debug", is_flag=True, expose_value=False, help="Print the traceback of an error, too.")

limit_option = click.option(
    "--data-limit",
    type=click.FloatRange(0, min_open=True),
    metavar="GB",
    help="What the files of --data may unpack to.  [default: 100 times their size, at least 0.5]",
)


class PlaceType(click.Path):
    """A path, or the URL of a store, which a path would spoil."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a path, or a URL."""
        return Url(value) if isinstance(value, str) and "://" in value else super().convert(value, param, ctx)


def file_argument(
    name: str, complete: Callable[..., list[CompletionItem]] | None = None
) -> Callable[[Function], Function]:
    """Return an argument for a store or a file of distributions; ``complete`` is what shells complete it by."""
    return click.argument(name, metavar=name.upper(), type=PlaceType(), shell_complete=complete)


def subcommand(
    name: str, example: str, cls: type[click.Command] = click.Command
) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a command with ``--debug`` and an example in its help.

    Args:
        name: What it is called by.
        example: Shell lines; the tests run those of all commands in one folder, in the order of the commands.
        cls: The class of the command.
    """
    lines = "\n".join(f"  {line}" for line in example.splitlines())
    made = click.command(name, cls, epilog=f"\b\nExample:\n{lines}\n")

    def make(function: Callable[..., Any]) -> click.Command:
        command = made(debug_option(function))
        command.params.append(command.params.pop(0))  # the last in the help: it is the same everywhere
        return command

    return make


def numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...]:
    """Return numbers that are separated by commas; none for None.

    Raises:
        click.BadParameter: One is no number.
    """
    try:
        return tuple(float(number) for number in value.split(",")) if value else ()
    except ValueError as error:
        message = f"expected numbers separated by commas, got {value!r}"
        raise click.BadParameter(message, ctx, param) from error


def names(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    """Return names that are separated by commas, or stand in a text file, one per line.

    Raises:
        click.BadParameter: The file cannot be read, or a name is empty or stands twice.
    """
    if value is None:
        return None
    found = value.split(",")
    if len(found) == 1 and Path(value).suffix:  # "cat.txt" is a file, "cat,dog" is not
        try:
            found = Path(value).read_text(encoding="utf-8-sig").rstrip("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            message = f"{value}: cannot be read as a text file: {error}"
            raise click.BadParameter(message, ctx, param) from error
    found = [name.strip() for name in found]
    if "" in found:
        message = f"{value}: name {found.index('')} is empty, counted from 0"
        raise click.BadParameter(message, ctx, param)
    twice = next((name for name, count in Counter(found).items() if count > 1), None)
    if twice is not None:
        message = f"{value}: the name {twice!r} stands twice; labels are looked up by name, so make them differ"
        raise click.BadParameter(message, ctx, param)
    return found


def key_values(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return ``name=value`` texts as a mapping; what JSON reads as a number or a truth value becomes one.

    Raises:
        click.BadParameter: One has no name or stands twice.

    Examples:
        >>> key_values(("compile=true", "workers=2", "autocast=bfloat16"))
        {'compile': True, 'workers': 2, 'autocast': 'bfloat16'}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals) or name in found:
            message = f"expected name=value, each name once, got {pair!r}"
            raise click.BadParameter(message, param_hint="--option")
        found[name] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text
