"""The words of messages for who calls ``picture_folder``, in place of those of the command line."""

import contextlib
import re
from collections.abc import Iterator

from probly_data_generator_command_line.errors import InputError

WORDS = {
    r"--data (?=\S+:)": "",
    r"--batch-size 1\b": "one_size=False",
    r"--skip-damaged\b": "skip_damaged=True",
    r"--image-size N\b": "size=N",
    r"--image-size\b": "size",
    r"--class-names\b": "class_names",
    r"a --transform\b": "a transform",
    r"your --transform\b": "your transform",
    r"--(resize|mean|std|channels|transform)\b": r"\1",
}
"""Patterns of options, and the arguments that are called otherwise."""


@contextlib.contextmanager
def for_python(*, asked: bool) -> Iterator[None]:
    """Name arguments of ``picture_folder`` in the errors of a block, if that is asked for, and not options."""
    try:
        yield
    except InputError as error:
        if not asked:
            raise
        raise InputError(in_python(error.message)) from error.__cause__


def in_python(text: str) -> str:
    """Return a message with the arguments of ``picture_folder`` in place of options.

    Examples:
        >>> in_python("pass --image-size N, a --transform of your own, or --batch-size 1")
        'pass size=N, a transform of your own, or one_size=False'
    """
    for pattern, word in WORDS.items():
        text = re.sub(pattern, word, text)
    return text
