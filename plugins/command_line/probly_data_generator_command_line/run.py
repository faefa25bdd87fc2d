"""From the arguments to an exit code: what is raised becomes one readable paragraph on standard error."""

import contextlib
import errno
import io
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from probly import data_generator
from probly.data_generator.errors import AlignmentError, BackendError, InvalidOutputError, StoreError
from probly_data_generator_command_line.errors import (
    CLOSED,
    FAILED,
    INTERRUPTED,
    USAGE,
    HiddenError,
    InputError,
    StoppedError,
)
from probly_data_generator_command_line.group import first_order
from probly_data_generator_command_line.plugins import in_plugin
from probly_data_generator_command_line.printing import say
from probly_data_generator_command_line.remedies import here

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
CORE = Path(data_generator.__file__).parent
LIBRARIES = (Path(os.__file__).parent, Path(click.__file__).parent)
REMEDIES = {
    PermissionError: "choose another path, or have its permissions changed",
    IsADirectoryError: "a file is expected there; choose another path",
    NotADirectoryError: "a folder is expected there; choose another path",
    FileExistsError: "a folder is expected there; choose another path",
    FileNotFoundError: "check the path",
}
PROGRAM = "python -m probly.data_generator" if Path(sys.argv[0]).name == "__main__.py" else "first-order"


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; errors go to standard error."""
    # As with `python -m`, models and datasets named "module:attribute" may lie in the current directory.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        with warnings.catch_warnings(), _logs_escaped():
            warnings.showwarning = _show_warning
            own = (PROGRAM, list(arguments))  # for the message that says how to continue
            answer = first_order.main(list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=own)
            return answer if isinstance(answer, int) else 0
    except SystemExit as ended:  # Click's, as after shell completion
        return ended.code if isinstance(ended.code, int) else FAILED
    except HiddenError as hidden:
        return _report_hidden(hidden.__cause__, debug="--debug" in arguments)
    except (KeyboardInterrupt, click.Abort):
        say("Stopped.", err=True)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # whatever it is, a user gets a paragraph
        if "--debug" in arguments:
            _say_traceback(error)
        return _report(error)


def _say_lines(text: str) -> None:
    for line in text.rstrip("\n").split("\n"):
        say(line, err=True)


def _say_traceback(error: BaseException) -> None:
    _say_lines("".join(traceback.format_exception(error)))


class _Logged(logging.Handler):
    """Prints what libraries log, names from files included, where nobody else has set logging up."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line."""
        say(f"{record.levelname.capitalize()}: {' '.join(record.getMessage().split())} ({record.name})", err=True)


@contextlib.contextmanager
def _logs_escaped() -> Iterator[None]:
    before, logging.lastResort = logging.lastResort, _Logged(logging.WARNING)
    try:
        yield
    finally:
        logging.lastResort = before


def _show_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    text = " ".join(str(message).split())
    if category is not DeprecationWarning:
        say(f"Warning: {text}", err=True)


def _report_exit(ended: SystemExit) -> int:
    """Say who wanted to end the program, which is no way to return a model or a row."""
    frame = _own_code(ended) or traceback.extract_tb(ended.__traceback__)[-1]
    asked = "" if ended.code is None else f"({ended.code!r})"
    text = f"{frame.filename}, line {frame.lineno}, ended the program: SystemExit{asked}; it has to return or to raise"
    say(f"Error: {' '.join('; '.join([text, *getattr(ended, '__notes__', ())]).split())}", err=True)
    return FAILED


def _report_hidden(error: BaseException | None, *, debug: bool) -> int:
    if isinstance(error, SystemExit):
        return _report_exit(error)
    assert isinstance(error, Exception)
    if isinstance(error, BrokenPipeError) and _own_code(error) is None:
        with contextlib.suppress(OSError, ValueError):  # what is left in the buffer would be another error at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    if debug:
        _say_traceback(error)
    return _report(error)


_FRAME = re.compile(r'^ *File "(.+)", line ([0-9]+), in (.*)', re.MULTILINE)
"""A line of a traceback, as it comes in a note from a worker process, which cannot send the traceback itself."""


def _without_frames(notes: str) -> list[str]:
    """Return the lines of notes that are no traceback: those are for ``--debug``."""
    lines, inside = [], False
    for line in notes.splitlines():
        inside = bool(_FRAME.match(line)) or (inside and line.startswith("    "))
        if line.strip() and not inside:
            lines.append(line)
    return lines


def _report(error: Exception) -> int:
    """Print what went wrong and return the exit code."""
    if isinstance(error, click.ClickException) and not isinstance(error, InputError):
        shown = io.StringIO()
        error.show(shown)
        _say_lines(shown.getvalue())
        return USAGE
    if isinstance(error, StoppedError):
        say(str(error), err=True)
        return error.code
    ours = isinstance(error, InputError | BackendError | StoreError | AlignmentError | InvalidOutputError)
    own_code = _own_code(error)
    # The message of an error of the system names the file; where user code met it, that code has to be named, too.
    told = ours or _is_told(error) or (isinstance(error, OSError) and own_code is None)
    text = "; ".join([_text(error, told), *_without_frames("\n".join(getattr(error, "__notes__", ())))])
    text += here(text)
    if not told:
        frame = own_code or _frames(error)[-1]
        text = f"{text} (raised in {frame.filename}, line {frame.lineno}; --debug shows the traceback)"
    say(f"Error: {' '.join(text.split())}", err=True)
    return USAGE if told and not _disk_failed(error) else FAILED


def _text(error: Exception, told: bool) -> str:
    if isinstance(error, InputError):
        return error.message
    if told and isinstance(error, OSError) and error.errno and error.filename:
        remedy = next((text for kind, text in REMEDIES.items() if isinstance(error, kind)), None)
        return f"{error.filename}: {'; '.join(filter(None, (error.strerror, remedy)))}"
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return message if told and message else f"{type(error).__name__}: {message}"


def _disk_failed(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__
    return False


def _is_told(error: Exception) -> bool:
    """Return whether an error was raised for the user to read: by a distribution of ours, or as the hooks document it.

    By a plugin of anybody else that is what the specifications name: a ValueError for bad input, a TypeError for what
    cannot be written, an ImportError for what has to be installed. Its other errors are its own trouble.
    """
    frames = _frames(error)
    if not frames:
        return False
    raised_in = Path(frames[-1].filename)
    return _in_ours(raised_in) or (isinstance(error, ValueError | TypeError | ImportError) and in_plugin(raised_in))


def _in_ours(path: Path) -> bool:
    return path.is_relative_to(CORE) or any(part.startswith("probly_data_generator_") for part in path.parts)


def _own_code(error: BaseException) -> traceback.FrameSummary | None:
    """Return the last line of the user's own code that an error passed, or None."""
    return next((frame for frame in reversed(_frames(error)) if _is_users(Path(frame.filename))), None)


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return where an error has passed, in a worker process last."""
    told = _FRAME.findall("\n".join(getattr(error, "__notes__", ())))
    in_worker = [traceback.FrameSummary(file, int(line), name) for file, line, name in told]
    return [*traceback.extract_tb(error.__traceback__), *in_worker]


def _is_users(path: Path) -> bool:
    installed = any(part in ("site-packages", "dist-packages") for part in path.parts)
    known = installed or _in_ours(path) or any(map(path.is_relative_to, LIBRARIES)) or in_plugin(path)
    return path.is_absolute() and not known
