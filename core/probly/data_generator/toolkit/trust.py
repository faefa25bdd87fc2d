"""Files that run code when they are opened: only on the user's word.

A backend opens files that hold no code, and of the others none, unless the user set the option ``trust``. It names the
option among those that it knows, and raises what ``untrusted`` returns where it is not set:

    chosen = checked_options(options, {**TRUST_OPTION, "threads": range(65)}, "mine")
    if path.suffix == ".pkl" and not chosen["trust"]:
        raise untrusted(path, "a pickle runs any code that its author put into it")

The option does not change a row: the core keeps it out of metadata and of what a store is continued by. Live models
need none.
"""

from collections.abc import Collection, Mapping
from os import PathLike
from typing import Any, Final

TRUST: Final = "trust"
TRUST_OPTION: Final[Mapping[str, Collection[Any]]] = {TRUST: (False, True)}
"""The option for ``toolkit.options.checked_options``, of backends that have such files."""


def untrusted(path: str | PathLike[str], danger: str) -> ValueError:
    """Return the error for a file that would run code and that nobody vouched for.

    Args:
        path: The file.
        danger: What opening it can do, as a sentence without its end.

    Examples:
        >>> raise untrusted("net.pkl", "a pickle runs any code that its author put into it")
        Traceback (most recent call last):
            ...
        ValueError: net.pkl: a pickle runs any code that its author put into it, so it was not opened; if you trust \
whoever made the file, pass options={'trust': True}, or --trust-model on the command line
    """
    return ValueError(
        f"{path}: {danger}, so it was not opened; if you trust whoever made the file, pass options={{'trust': True}}, "
        "or --trust-model on the command line"
    )


def needless(backend: str) -> ValueError:
    """Return the error for the option of a backend that does not know it."""
    return ValueError(
        f"backend {backend!r}: option {TRUST!r} (--trust-model on the command line) is for files that run code when "
        "they are opened, and this backend opens none of them; leave it out"
    )
