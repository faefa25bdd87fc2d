"""The command that installs a distribution: written here, and nowhere else, for messages, pages and tests.

Nothing of ours is on a package index before the first release. Until then `make wheels` builds every distribution into
one folder of a checkout, and pip is told to look there, too.
"""

import re
from collections.abc import Iterable
from typing import Final

CORE: Final = "probly-data-generator"
"""The distribution of the core; the names of all others of ours begin with it."""
RELEASED: Final = False
"""Whether a package index has our distributions: the one switch of all texts.

After it was changed, `make install-texts` writes the pages anew, and the tests compare them.
"""
WHEELS: Final = "dist"
"""The folder of a checkout that `make wheels` builds all distributions into."""


def install_command(*requirements: str, options: Iterable[str] = ()) -> str:
    """Return the command that installs distributions, ours or others, as a user types it in any shell.

    Args:
        requirements: Names with extras and versions, as pip takes them; ``"probly-data-generator[store]"``.
        options: Further options of ``pip install``, such as ``"--upgrade"``.

    Examples:
        >>> install_command("pandas>=2", options=["--upgrade"])
        'pip install --upgrade "pandas>=2"'
        >>> "probly-data-generator[store]" in install_command("probly-data-generator[store]")
        True
    """
    links = [f"--find-links {WHEELS}"] if _in_a_folder(requirements) else []
    return " ".join(["pip install", *links, *options, *map(_quoted, requirements)])


def install_advice(*requirements: str, options: Iterable[str] = ()) -> str:
    """Return what a message says of something that is not installed: the command, and where it works.

    Args:
        requirements: See ``install_command``.
        options: See ``install_command``.

    Examples:
        >>> install_advice("pandas")
        'run: pip install pandas'
    """
    advice = f"run: {install_command(*requirements, options=options)}"
    if _in_a_folder(requirements):
        advice += f' (in a checkout, where "make wheels" fills {WHEELS})'
    return advice


def _in_a_folder(requirements: Iterable[str]) -> bool:
    """Say whether pip finds one of them in the folder of wheels alone."""
    return not RELEASED and any(requirement.startswith(CORE) for requirement in requirements)


def _quoted(requirement: str) -> str:
    """Quote what a shell would read; double quotes are the only ones that every shell takes away."""
    return requirement if re.fullmatch(r"[\w.-]+", requirement) else f'"{requirement}"'
