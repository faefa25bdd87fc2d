"""The errors of the command line; their message is all that a user sees."""

import click

USAGE, FAILED, INTERRUPTED, CLOSED, TERMINATED = 2, 3, 130, 141, 143
"""Exit codes; see ``first-order --help``."""


class InputError(click.ClickException, ValueError):
    """What a user gave cannot be used; the message says what was expected and what to do."""

    exit_code = USAGE


class HiddenError(Exception):
    """Carries, as its cause, an error that Click would take for Ctrl-C, a closed output or its own exit."""


class StoppedError(Exception):
    """A run was interrupted from outside; the message says how to continue.

    Args:
        message: The message.
        code: The exit code.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
