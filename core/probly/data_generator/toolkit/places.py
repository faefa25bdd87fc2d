"""Where a file is: a path of this machine, or the URL of an object store, which is written to as to a path."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # S3:// is refused, and no folder of that name made
_MANGLED = re.compile(r"[a-z][a-z0-9+.-]+:/[^/]", re.IGNORECASE)


class Url(os.PathLike[str]):
    """A place in an object store, with what the commands and formats ask of a path's name.

    Args:
        text: As ``"s3://bucket/teacher.fod"``.
        known: What has been learned of the objects below; shared by all places that are made of this one.

    Examples:
        >>> place = Url("s3://bucket/teacher.fod")
        >>> place.name, place.suffix, str(place / "shards" / "0")
        ('teacher.fod', '.fod', 's3://bucket/teacher.fod/shards/0')
    """

    def __init__(self, text: str, known: dict[str, Any] | None = None) -> None:
        self.text = text.rstrip("/")
        self.known: dict[str, Any] = {} if known is None else known

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.text).name

    @property
    def suffix(self) -> str:
        """The suffix of the last part, with its dot."""
        return PurePosixPath(self.text).suffix

    @property
    def parent(self) -> "Url":
        """The place without its last part."""
        return Url(self.text.rpartition("/")[0], self.known)

    def with_suffix(self, suffix: str) -> "Url":
        """Return the place with another suffix."""
        return Url(self.text.removesuffix(self.suffix) + suffix, self.known)

    def absolute(self) -> "Url":
        """Return the place, which every machine calls so."""
        return self

    def __truediv__(self, name: str) -> "Url":
        """Return a place below this one."""
        return Url(f"{self.text}/{name}", self.known)

    def __fspath__(self) -> str:
        """Return the text."""
        return self.text

    def __str__(self) -> str:
        """Return the text."""
        return self.text

    def __repr__(self) -> str:
        """Return what makes it."""
        return f"Url({self.text!r})"


Place: TypeAlias = Path | Url


def place_of(path: str | os.PathLike[str]) -> Place:
    """Return where a file is.

    Raises:
        ValueError: It is a URL that has gone through a ``Path``, which makes one slash of two.

    Examples:
        >>> place_of("teacher.fod").name, place_of("s3://bucket/teacher.fod")
        ('teacher.fod', Url('s3://bucket/teacher.fod'))
    """
    text = os.fspath(path)
    if _URL.match(text):
        return path if isinstance(path, Url) else Url(text)
    if isinstance(path, Path) and _MANGLED.match(text):
        message = f"{text}: pass a URL as text: a Path makes one slash of the two after the colon"
        raise ValueError(message)
    return Path(path)
