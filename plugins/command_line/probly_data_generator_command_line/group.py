"""The group of all commands; a command's module is imported when it is asked for."""

import importlib
from typing import Any

import click

from probly_data_generator_command_line.arguments import debug_option
from probly_data_generator_command_line.errors import HiddenError

COMMANDS = {
    "generate": ("generating", "Run a model over a dataset and write its distributions to a store."),
    "inspect": ("inspecting", "Show what is in a store or a file of distributions."),
    "verify": ("verifying", "Check every byte and every row."),
    "convert": ("converting", "Write a store or a file of distributions in another format."),
    "diff": ("differing", "Compare two sets of distributions, rows matched by index."),
    "report": ("reporting", "Write a page of pictures and numbers."),
    "backends": ("listing", "Check the installed backends and name what they lack."),
    "demo": ("demonstrating", "Make a small model, its data and a store to try the other commands on."),
}
"""Each command with the module that holds it and its first line, which the list shows without importing it."""


class LazyGroup(click.Group):
    """A group that knows its commands by name only."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and keep from Click what it would explain wrongly.

        Raises:
            HiddenError: A file ended too early, a pipe was closed, or the user's own code ended the program.
        """
        try:
            return super().invoke(ctx)
        except (EOFError, BrokenPipeError, SystemExit) as error:
            raise HiddenError from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of a session."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__package__}.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown name with those that there are."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            message = f"there is no command {args[0]!r}; there are {', '.join(COMMANDS)}"
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


EPILOG = """\b
Example:
  first-order demo
  first-order inspect demo/teacher.fod

\b
Shell completion:
  eval "$(_FIRST_ORDER_COMPLETE=bash_source first-order)"    in ~/.bashrc
  eval "$(_FIRST_ORDER_COMPLETE=zsh_source first-order)"     in ~/.zshrc
  _FIRST_ORDER_COMPLETE=fish_source first-order | source     in config.fish

\b
Exit codes:
  0    all is well
  1    verify, diff or backends found something
  2    wrong usage or bad input; nothing was changed
  3    your own code or the machine failed; what a store has published is safe
  130  Ctrl-C; 143: SIGTERM; 141: nobody read on, as with `| head`
"""


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="probly-data-generator", message="%(version)s")
@debug_option
def first_order() -> None:
    """From a pretrained classifier and a dataset to one checked class distribution per sample."""
