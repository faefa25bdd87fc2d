"""From the arguments to an exit code: what is raised becomes one readable paragraph on standard error."""

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from probly.data_generator.cli.errors import FAILED, INTERRUPTED, USAGE, InputError, StoppedError
from probly.data_generator.cli.group import first_order
from probly.data_generator.errors import AlignmentError, BackendError, InvalidOutputError, StoreError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
PACKAGE = Path(__file__).parents[1]
LIBRARIES = (Path(os.__file__).parent, Path(click.__file__).parent)
PROGRAM = "python -m probly.data_generator" if Path(sys.argv[0]).name == "__main__.py" else "first-order"


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; errors go to standard error."""
    # As with `python -m`, models and datasets named "module:attribute" may lie in the current directory.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            own = (PROGRAM, list(arguments))  # for the message that says how to go on
            answer = first_order.main(list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=own)
            return answer if isinstance(answer, int) else 0
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    except (KeyboardInterrupt, click.Abort):
        click.echo("Stopped.", err=True)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # whatever it is, a user gets a paragraph
        if "--debug" in arguments:
            traceback.print_exc()
        return _report(error)


def _show_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    text = " ".join(str(message).split())
    if category is not DeprecationWarning:
        click.echo(f"Warning: {text}", err=True)


def _report(error: Exception) -> int:
    """Print what went wrong and return the exit code."""
    if isinstance(error, click.ClickException) and not isinstance(error, InputError):
        error.show()
        return USAGE
    if isinstance(error, StoppedError):
        click.echo(str(error), err=True)
        return error.code
    ours = isinstance(error, InputError | BackendError | StoreError | AlignmentError | InvalidOutputError)
    own_code = _own_code(error)
    # The message of an error of the system names the file; where user code met it, that code has to be named, too.
    told = ours or _is_ours(error) or (isinstance(error, OSError) and own_code is None)
    text = "; ".join([_text(error, told), *getattr(error, "__notes__", ())])
    if not told:
        frame = own_code or traceback.extract_tb(error.__traceback__)[-1]
        text = f"{text} (raised in {frame.filename}, line {frame.lineno}; --debug shows the traceback)"
    click.echo(f"Error: {' '.join(text.split())}", err=True)
    return USAGE if told and not _disk_failed(error) else FAILED


def _text(error: Exception, told: bool) -> str:
    if isinstance(error, InputError):
        return error.message
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return message if told and message else f"{type(error).__name__}: {message}"


def _disk_failed(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__
    return False


def _is_ours(error: Exception) -> bool:
    """Return whether an error was raised by this package or a backend of ours: then its message says what to do."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and _in_ours(Path(frames[-1].filename))


def _in_ours(path: Path) -> bool:
    return path.is_relative_to(PACKAGE) or any(part.startswith("probly_data_generator_") for part in path.parts)


def _own_code(error: Exception) -> traceback.FrameSummary | None:
    """Return the last line of the user's own code that an error passed, or None."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return next((frame for frame in frames if _is_users(Path(frame.filename))), None)


def _is_users(path: Path) -> bool:
    installed = any(part in ("site-packages", "dist-packages") for part in path.parts)
    return path.is_absolute() and not (installed or _in_ours(path) or any(map(path.is_relative_to, LIBRARIES)))
