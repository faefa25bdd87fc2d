"""What a model's own configuration calls its columns."""

from collections.abc import Mapping
from typing import Any


def class_names(module: Any) -> list[str] | None:
    """Return the names of the columns in ``module.config.id2label``, where Hugging Face's models have them.

    The order is that of the columns, which are the keys as numbers or as text, and not that in which the keys were
    written. A map that misses a column names none, nor do the names that a configuration has when nobody gave any:
    ``LABEL_0``, ``LABEL_1``, ...

    Examples:
        >>> from types import SimpleNamespace
        >>> class_names(SimpleNamespace(config=SimpleNamespace(id2label={"10": "emu", 1: "dog", 0: "cat"})))
        >>> class_names(SimpleNamespace(config=SimpleNamespace(id2label={"1": "dog", "0": "cat"})))
        ['cat', 'dog']
    """
    declared = getattr(getattr(module, "config", None), "id2label", None)
    if not isinstance(declared, Mapping):
        return None
    named = {str(key): name for key, name in declared.items()}
    names = [named.get(str(column)) for column in range(len(named))]
    # One score without a name beside it is that of a regression, or of the second of two classes.
    if len(names) < 2 or not all(isinstance(name, str) for name in names):
        return None
    return None if names == [f"LABEL_{column}" for column in range(len(names))] else [str(name) for name in names]
