"""Telling whose a live model is, without importing a framework."""

from typing import Any


def class_from(source: Any, *packages: str) -> type | None:
    """Return the most specific class of an object that comes from one of these top-level packages, or None.

    Args:
        source: A live model; a path comes from none.
        packages: Top-level names.

    Examples:
        >>> import collections
        >>> class Mine(collections.OrderedDict): ...
        >>> class_from(Mine(), "collections"), class_from(Mine(), "numpy")
        (<class 'collections.OrderedDict'>, None)
    """
    return next((kind for kind in type(source).__mro__ if kind.__module__.partition(".")[0] in packages), None)
