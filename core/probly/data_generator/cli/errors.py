"""The errors of the command line; their message is all that a user sees."""

import click

USAGE, FAILED, INTERRUPTED, TERMINATED = 2, 3, 130, 143
"""Exit codes; see ``first-order --help``."""


class InputError(click.ClickException):
    """What a user gave cannot be used; the message says what was expected and what to do."""

    exit_code = USAGE


class StoppedError(Exception):
    """A run was interrupted from outside; the message says how to go on.

    Args:
        message: The message.
        code: The exit code.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
