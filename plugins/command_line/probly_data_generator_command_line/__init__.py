"""The command line ``first-order``; docs/command_line.md shows a session.

Exit codes: 0, all is well; 1, ``verify``, ``diff``, ``backends`` or ``finish`` found something; 2, wrong usage or bad
input, and nothing was changed; 3, your own code or the machine failed, what a store
has published is safe; 130, Ctrl-C; 141, nobody read on, as with ``| head``; 143, SIGTERM.
"""

import sys
from collections.abc import Sequence

from probly.data_generator.installing import install_advice

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: What stands behind ``first-order``; that of this process by default.
    """
    try:
        from probly_data_generator_command_line.run import run  # click is an extra
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        message = f"first-order needs click; {install_advice('probly-data-generator[cli]')}"
        print(message, file=sys.stderr)  # noqa: T201  # click would print it
        return 2
    return run(sys.argv[1:] if arguments is None else arguments)
