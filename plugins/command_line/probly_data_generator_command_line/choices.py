"""What can be chosen by name, for shells that complete a line and for ``--help-options``; no framework is imported."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import PurePath
from typing import Any

import click
from click.shell_completion import CompletionItem

from probly.data_generator.discovery.listing import (
    BACKENDS,
    ENGINES,
    FORMATS,
    WRAPPERS,
    BackendInfo,
    claims,
    find_backend,
    list_backends,
)
from probly.data_generator.errors import BackendError
from probly.data_generator.toolkit.trust import TRUST
from probly_data_generator_command_line.printing import escaped, named
from probly_data_generator_command_line.stores import SUFFIX

MOST_VALUES = 8
"""Of more values that an option takes, the first and the last are shown."""


def complete(find: Callable[[click.Context, str], Iterable[str]]) -> Callable[..., list[CompletionItem]]:
    """Return what click asks for the words of a parameter: those of ``find`` that begin like the incomplete one."""

    def completed(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with contextlib.suppress(Exception):  # a shell that completes a line wants no message
            return [CompletionItem(escaped(word)) for word in find(context, incomplete) if word.startswith(incomplete)]
        return []

    return completed


def backend_names(*_: Any) -> list[str]:
    """Return all names of the installed backends."""
    return sorted(claims(BACKENDS))


def wrapper_names(*_: Any) -> list[str]:
    """Return the names of the installed wrappers."""
    return sorted(claims(WRAPPERS))


def engine_names(*_: Any) -> list[str]:
    """Return the names of the installed engines."""
    return sorted(claims(ENGINES))


def device_names(context: click.Context, _incomplete: str) -> list[str]:
    """Return the devices of the backend that the line names before; those of all backends where it names none."""
    return list(dict.fromkeys(name for known in _of_line(context) for name in known.get("device", ())))


def option_values(context: click.Context, _incomplete: str) -> list[str]:
    """Return the options of the backend that the line names, each with its values, where these are few.

    Both at once: of a word with ``=`` in it, bash asks for what follows alone and does not say of what.
    """
    found = {name: values for known in _of_line(context) for name, values in known.items()}
    words = []
    for name in found.keys() - {"device", TRUST}:
        values = [value for value in found[name] if value is not None]
        words += [f"{name}={typed(value)}" for value in values if len(values) <= MOST_VALUES] or [f"{name}="]
    return sorted(words)


def targets(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return a file's name with the suffix of each format, from its dot on; before, the shell's own files."""
    return _with_suffixes(context, parameter, incomplete, lambda: sorted(f".{name}" for name in claims(FORMATS)))


def stores(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the name of a store from its dot on; which other formats take rows as they come, only importing tells."""
    return _with_suffixes(context, parameter, incomplete, lambda: [SUFFIX])


def _with_suffixes(
    context: click.Context, parameter: click.Parameter, incomplete: str, known: Callable[[], list[str]]
) -> list[CompletionItem]:
    path = PurePath(incomplete)
    with contextlib.suppress(Exception):
        if "." in path.name and path.stem and not incomplete.endswith("/"):
            stem = incomplete[: -len(path.suffix)] if path.suffix else incomplete.removesuffix(".")
            words = [f"{stem}{suffix}" for suffix in known()]
            return [CompletionItem(escaped(word)) for word in words if word.startswith(incomplete)]
    return parameter.type.shell_complete(context, parameter, incomplete)


def _of_line(context: click.Context) -> list[Mapping[str, Collection[Any]]]:
    name = context.params.get("backend")
    names = [info.name for info in list_backends().values()] if name in (None, "auto") else [name]
    found: list[Mapping[str, Collection[Any]]] = []
    for each in names:
        with contextlib.suppress(BackendError):
            found.append(choices_of(find_backend(each)) or {})
    return found


def choices_of(info: BackendInfo) -> dict[str, Collection[Any]] | None:
    """Return what a backend lets its users choose; None where it takes options and does not list them.

    Raises:
        BackendError: It is broken.
    """
    from probly.data_generator.discovery.loading import load_backend  # names alone do without it

    backend = load_backend(info)
    if backend.has("choices"):
        return dict(backend.answer("choices"))
    return None if backend.takes("load_model", "options") else {}


def typed(value: Any) -> str:
    """Return a value as ``--option`` reads it.

    Examples:
        >>> typed(True), typed(3), typed("bfloat16")
        ('true', '3', 'bfloat16')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def described(info: BackendInfo) -> tuple[dict[str, Any], list[str]]:
    """Return what ``--help-options`` says of a backend: for scripts, and as lines."""
    title = f"{info.name} ({info.distribution} {info.version})"
    try:
        known = choices_of(info)
    except BackendError as error:
        return {"problem": str(error)}, [f"{title}: {error}"]
    if known is None:
        return {"listed": False}, [f"{title}: takes options, but does not list them; see its documentation"]
    devices = list(known.pop("device", ()))
    options = {name: _in_short(values) for name, values in known.items()}
    lines = {"--device": ", ".join(map(str, devices))}
    lines |= {"--trust-model" if name == TRUST else f"--option {name}=": text for name, text in options.items()}
    if TRUST in options:
        lines["--trust-model"] = "open files that run code"
    found = {
        "listed": True,
        "devices": devices,
        "options": {name: _for_scripts(values) for name, values in known.items()},
    }
    return found, [f"{title}{'' if options else ': no options'}", *named(lines)]


def _for_scripts(values: Collection[Any]) -> Any:
    if isinstance(values, range) and len(values) > MOST_VALUES:
        return {"from": values[0], "to": values[-1]}
    return list(values)


def _in_short(values: Collection[Any]) -> str:
    """Say which values an option takes, and what it is without it.

    Examples:
        >>> _in_short((None, "bfloat16", "float16")), _in_short(range(65)), _in_short(())
        ('bfloat16, float16', '0, 1, 2 ... 64; default 0', 'what the model has')
    """
    given = list(values)
    if not given:
        return "what the model has"
    words = [typed(value) for value in given if value is not None]
    shown = ", ".join(words) if len(words) <= MOST_VALUES else f"{', '.join(words[:3])} ... {words[-1]}"
    return shown if given[0] is None else f"{shown}; default {words[0]}"
