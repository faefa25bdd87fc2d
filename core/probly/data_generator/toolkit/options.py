"""The options of a backend: what only its framework knows, by name, each with its allowed values."""

from collections.abc import Collection, Mapping
from typing import Any

from probly.data_generator.toolkit.trust import TRUST, needless


def checked_options(given: Mapping[str, Any], known: Mapping[str, Collection[Any]], backend: str) -> dict[str, Any]:
    """Return the value of every known option; backends call it in ``load_model``.

    Args:
        given: The options that the user set.
        known: The allowed values of each option; the first one is the default.
        backend: Its name, for messages.

    Raises:
        ValueError: An option is not known, or its value is not allowed; the message lists those that are.

    Examples:
        >>> checked_options({"compile": True}, {"compile": (False, True), "workers": range(65)}, "mine")
        {'compile': True, 'workers': 0}
        >>> checked_options({"compil": True}, {"compile": (False, True)}, "mine")
        Traceback (most recent call last):
            ...
        ValueError: backend 'mine': unknown option 'compil'; known: compile
    """
    unknown = [name for name in given if name not in known]
    if TRUST in unknown:
        raise needless(backend)
    if unknown:
        possible = ", ".join(sorted(known)) or "none"
        message = f"backend {backend!r}: unknown option {unknown[0]!r}; known: {possible}"
        raise ValueError(message)
    for name, value in given.items():
        # 1 == True, but who writes compile=1 may mean a number of something.
        if not any(type(value) is type(allowed) and value == allowed for allowed in known[name]):
            allowed = known[name] if isinstance(known[name], range) else ", ".join(map(repr, known[name]))
            message = f"backend {backend!r}: option {name!r}: expected one of {allowed}, got {value!r}"
            raise ValueError(message)
    return {name: given.get(name, next(iter(allowed))) for name, allowed in known.items()}
