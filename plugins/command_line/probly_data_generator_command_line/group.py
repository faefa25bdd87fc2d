"""The group of all commands, ours and those of others, found by entry points, imported when they are called."""

from typing import Any

import click
from click.shell_completion import CompletionItem
from importlib_metadata import metadata

from probly.data_generator.discovery.listing import COMMANDS, BackendInfo, Claims, blaming, claims, single_claim
from probly.data_generator.errors import BackendError, NotInstalledError
from probly.data_generator.installing import install_advice
from probly_data_generator_command_line.arguments import debug_option
from probly_data_generator_command_line.errors import HiddenError
from probly_data_generator_command_line.printing import escaped

DISTRIBUTION = "probly-data-generator-command-line"
OURS = {
    "generate": "Run a model over a dataset and write its distributions to a store.",
    "inspect": "Show what is in a store or a file of distributions.",
    "finish": "Complete a store that several workers have filled.",
    "verify": "Check every byte and every row.",
    "convert": "Write a store or a file of distributions in another format.",
    "diff": "Compare two sets of distributions, rows matched by index.",
    "report": "Write a page of pictures and numbers.",
    "backends": "Check the installed backends and name what they lack.",
    "demo": "Make a small model, its data and a store to try the other commands on.",
}
"""Our commands in the order of a session, with the first line of each, which the list shows without importing it."""
OF_THE_EVALUATION = ("rank", "sample", "calibrate", "evaluate")
"""Commands of another distribution of ours; one that is missed is named."""


class CommandGroup(click.Group):
    """The commands of all installed distributions, by the entry points of ``probly.data_generator.commands``."""

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
        """Return the names: ours in the order of a session, then those of others."""
        return _in_order(claims(COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for an unknown one.

        Raises:
            AmbiguousBackendError: Two distributions claim the name.
            BrokenBackendError: It cannot be imported, or is no command.
            NotInstalledError: It needs a distribution that is not installed; the message says which.
        """
        found = claims(COMMANDS)
        if cmd_name not in found:
            return None
        try:
            return _load(single_claim(cmd_name, found, ("command", "command")))
        except (BackendError, NotInstalledError):
            if ctx.resilient_parsing:  # a shell that completes a line wants no message
                return None
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown name with those that there are."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            message = f"there is no command {args[0]!r}; there are {', '.join(names)}"
            if args[0] in OF_THE_EVALUATION:
                message = f"{args[0]} is not installed; {install_advice('probly-data-generator[evaluation,cli]')}"
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list without importing a command; those of which the same is said share a line."""
        said: dict[str, list[str]] = {}
        for name, line in _first_lines().items():
            said.setdefault(escaped(line), []).append(escaped(name))
        with formatter.section("Commands"):
            formatter.write_dl([(", ".join(names), line) for line, names in said.items()], col_max=16)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin like a word, without importing one, and what Click completes beside them."""
        lines = {name: line for name, line in _first_lines().items() if name.startswith(incomplete)}
        return [
            *(CompletionItem(escaped(name), help=escaped(line)) for name, line in lines.items()),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]


def _in_order(found: Claims) -> list[str]:
    return [*(name for name in OURS if name in found), *sorted(found.keys() - OURS.keys())]


def _load(info: BackendInfo) -> click.Command:
    with blaming(info, f"command {info.entry_point.name!r}"):
        command = info.entry_point.load()
        if not isinstance(command, click.Command):
            message = f"expected a click command at {info.entry_point.value}, got {command!r}"
            raise TypeError(message)
    return command


def _first_lines() -> dict[str, str]:
    """Return what the list says of each command: our own words, or what the distribution of another says of itself."""
    found = claims(COMMANDS)
    return {name: _first_line(name, found[name]) for name in _in_order(found)}


def _first_line(name: str, infos: list[BackendInfo]) -> str:
    if [info.distribution for info in infos] == [DISTRIBUTION]:
        return OURS.get(name, "")
    if len(infos) > 1:
        return f"Claimed by {' and '.join(sorted(info.distribution for info in infos))}; uninstall one of them."
    try:
        summary = metadata(infos[0].distribution)["Summary"] or ""
    except Exception:  # noqa: BLE001  # its metadata may be damaged in any way, which is nobody else's concern
        summary = ""
    return f"{summary} ({infos[0].distribution} {infos[0].version})".strip()


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
  1    verify, diff, backends or finish found something
  2    wrong usage or bad input; nothing was changed
  3    your own code or the machine failed; what a store has published is safe
  130  Ctrl-C; 143: SIGTERM; 141: nobody read on, as with `| head`
"""


@click.group(cls=CommandGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="probly-data-generator", message="%(version)s")
@debug_option
def first_order() -> None:
    """From a pretrained classifier and a dataset to one checked class distribution per sample."""
