"""Models named by ``"module:attribute"``: the user's own code, imported on the user's word."""

import importlib
import inspect
from os import PathLike
from typing import Any


def is_import_path(text: str) -> bool:
    """Return whether a text has the form ``"module:attribute"``.

    Examples:
        >>> is_import_path("package.module:build"), is_import_path("C:/models/net.pt2")
        (True, False)
    """
    module, colon, attribute = text.partition(":")
    names = [*module.split("."), *attribute.split(".")]
    return bool(colon) and all(name.isidentifier() for name in names)


def is_opened(source: Any) -> bool:
    """Return whether a model is opened by its name, and not a live one that may change between two runs.

    Args:
        source: A model as users give it. Of a tuple, the last part tells: a builder comes with the path of its weights,
            a live model with what prepares its inputs, or with its parameters.

    Examples:
        >>> is_opened("net.pt"), is_opened((dict, "weights.pt")), is_opened((dict(), len))
        (True, True, False)
    """
    last = source[-1] if isinstance(source, tuple) and source else source
    return isinstance(last, str | PathLike)


def import_model(path: str) -> Any:
    """Return the model that ``"module:attribute"`` names.

    A function or class that needs no argument is a builder and gets called, since a model needs its input.

    Raises:
        ValueError: The text has another form.
        ImportError: There is no such module or attribute.

    Examples:
        >>> import_model("math:exp")(0.0)
        1.0
        >>> import_model("fractions:Fraction")
        Fraction(0, 1)
    """
    if not is_import_path(path):
        message = f'expected a model or "module:attribute", got {path!r}; this backend opens no such file'
        raise ValueError(message)
    module, _, attribute = path.partition(":")
    found: Any = importlib.import_module(module)
    for name in attribute.split("."):
        if not hasattr(found, name):
            message = f"{path!r}: {getattr(found, '__name__', found)!r} has no attribute {name!r}"
            raise ImportError(message)
        found = getattr(found, name)
    if not (inspect.isroutine(found) or inspect.isclass(found)):
        return found
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):  # it needs arguments, or is built in and does not tell
        return found
    return found()
