"""Finding, loading and checking backends.

Entry points are resolved here, because pluggy's own loader stops at the first broken plugin and picks silently
between two of the same name. Listing reads metadata only; loading imports one backend and no other.
"""

import contextlib
import difflib
import functools
import inspect
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import importlib_metadata
import pluggy

from probly.data_generator import hookspecs
from probly.data_generator.errors import (
    AmbiguousBackendError,
    BackendError,
    BackendNotInstalledError,
    BrokenBackendError,
    UnknownBackendError,
)
from probly.data_generator.importing import import_model, is_import_path

GROUP = "probly.data_generator.backends"
CORE = "probly-data-generator"


@dataclass(frozen=True)
class BackendInfo:
    """What the metadata of an installed distribution says of a backend; nothing has been imported.

    Attributes:
        name: The name in metadata and messages.
        aliases: All names it answers to, in alphabetical order.
        distribution: The distribution that provides it.
        version: That distribution's version.
    """

    name: str
    aliases: tuple[str, ...]
    distribution: str
    version: str
    entry_point: importlib_metadata.EntryPoint = field(repr=False)


@dataclass(frozen=True)
class Backend:
    """A loaded backend: its metadata and the hooks of a manager that holds it alone, plus wrappers."""

    info: BackendInfo
    hook: Any

    def has(self, hook: str) -> bool:
        """Return whether an optional hook is there."""
        return bool(getattr(self.hook, hook).get_hookimpls())


def list_backends() -> dict[str, BackendInfo]:
    """Return the installed backends by name, without importing any of them.

    Two names of one distribution with the same value are aliases. A name that two distributions claim is listed only
    when asked for by ``find_backend``, which refuses it.

    Examples:
        >>> list_backends()["numpy"].aliases
        ('agnostic', 'numpy')
    """
    return {info.name: info for claims in _claims().values() for info in claims if len(claims) == 1}


def find_backend(name: str) -> BackendInfo:
    """Return the installed backend of this name or alias.

    Raises:
        UnknownBackendError: There is none, and no extra of ours is called so.
        BackendNotInstalledError: An extra of ours is called so; the message says what to install.
        AmbiguousBackendError: Two distributions claim the name.
    """
    claims = _claims().get(name, [])
    if len(claims) > 1:
        claimants = " and ".join(sorted(f"{info.distribution} {info.version}" for info in claims))
        message = f"Ambiguous backend {name!r}: claimed by {claimants}; uninstall one of them"
        raise AmbiguousBackendError(message)
    if claims:
        return claims[0]
    known = known_backends()
    if name in known:
        raise BackendNotInstalledError(missing_message(name))
    installed = list(_claims())
    close = difflib.get_close_matches(str(name), [*installed, *known], n=3)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    message = f"Unknown framework: {name} (installed backends: {', '.join(sorted(installed))}){hint}"
    raise UnknownBackendError(message)


def missing_message(name: str) -> str:
    """Say what to install for a known backend."""
    return f'backend {name!r} is not installed; run: pip install {known_backends()[name]}  (or "{CORE}[{name}]")'


def explain_missing(error: ImportError, name: str) -> BackendError:
    """Return the error for a backend of which something cannot be imported: the backend itself, or its framework."""
    installed = _claims().get(name)
    if not installed:
        return BackendNotInstalledError(missing_message(name))
    info = installed[0]
    message = (
        f"backend {info.name!r} ({info.distribution} {info.version}) is installed but broken: {error}; "
        f"run: pip install --force-reinstall {info.distribution}  (with what it requires)"
    )
    return BrokenBackendError(message)


@functools.cache
def known_backends() -> Mapping[str, str]:
    """Return the backend distribution behind each extra of the core that names one, installed or not."""
    pattern = re.compile(rf"(?P<distribution>{CORE}-[\w.-]+)\s*;\s*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"]")
    requirements = importlib_metadata.requires(CORE) or []
    matches = (pattern.fullmatch(requirement.strip()) for requirement in requirements)
    return {match["extra"]: match["distribution"] for match in matches if match and match["extra"] != "all"}


def _claims() -> dict[str, list[BackendInfo]]:
    """Return every name with the backends that claim it, one per distribution and value."""
    names: dict[tuple[str, str], list[importlib_metadata.EntryPoint]] = defaultdict(list)
    versions: dict[str, str] = {}
    for distribution in importlib_metadata.distributions():
        entry_points = distribution.entry_points.select(group=GROUP)
        # The first match on sys.path is the one that gets imported; a shadowed copy of it is no second claim.
        if entry_points and distribution.name not in versions:
            versions[distribution.name] = distribution.version
            for entry_point in entry_points:
                names[distribution.name, entry_point.value].append(entry_point)
    claims: dict[str, list[BackendInfo]] = defaultdict(list)
    for (distribution_name, value), entry_points_of_value in names.items():
        aliases = tuple(sorted({entry_point.name for entry_point in entry_points_of_value}))
        chosen = _main_name(aliases, value)
        entry_point = next(entry for entry in entry_points_of_value if entry.name == chosen)
        info = BackendInfo(chosen, aliases, distribution_name, versions[distribution_name], entry_point)
        for alias in aliases:
            claims[alias].append(info)
    return dict(claims)


def _main_name(aliases: Sequence[str], value: str) -> str:
    """Return the alias that the module's own path contains (the longest, if several), else the first."""
    return max((alias for alias in aliases if alias in value), key=len, default=aliases[0])


def load_backend(info: BackendInfo, wrappers: Sequence[Any] = ()) -> Backend:
    """Import one backend and register it in a fresh manager, with wrapper plugins around it.

    Args:
        info: Which one.
        wrappers: Modules or objects whose hooks are all ``@hookimpl(wrapper=True)``; the last one is outermost.

    Raises:
        BrokenBackendError: The import fails, or the plugin breaks a rule of the contract.
        TypeError: A wrapper would replace a hook or names one that does not exist.
    """
    try:
        plugin = info.entry_point.load()
        manager = new_manager()
        manager.register(plugin, name=info.name)
        manager.check_pending()
        _check_plugin(manager, plugin)
    # A plugin may fail in any way while it is imported, sys.exit() included, and must take nobody else down.
    except (Exception, SystemExit) as error:
        message = (
            f"backend {info.name!r} ({info.distribution} {info.version}) is installed but broken: "
            f"{type(error).__name__}: {error}; reinstall or uninstall {info.distribution}"
        )
        raise BrokenBackendError(message) from error
    for wrapper in wrappers:
        _register_wrapper(manager, wrapper)
    return Backend(info, manager.hook)


def versions(distribution: str) -> dict[str, str]:
    """Return the versions of a backend's distribution, of what it requires, and of the core, for the metadata."""
    found = {}
    for name in sorted({CORE, distribution, *_required(distribution)}):
        with contextlib.suppress(importlib_metadata.PackageNotFoundError):
            found[name] = importlib_metadata.version(name)
    return found


def _required(distribution: str) -> list[str]:
    requirements = importlib_metadata.requires(distribution) or []
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requirements if ";" not in line]


def required_modules(distribution: str) -> set[str]:
    """Return the top-level modules of what a distribution requires, as far as they are called like it."""
    return {name.replace("-", "_").lower() for name in _required(distribution)}


def new_manager() -> pluggy.PluginManager:
    """Return a manager that knows our hooks and holds no plugin."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _check_plugin(manager: pluggy.PluginManager, plugin: Any) -> None:
    callers = manager.get_hookcallers(plugin) or []
    names = {caller.name for caller in callers}
    missing = [name for name in hookspecs.REQUIRED if name not in names]
    if missing:
        message = f"it lacks the hook {', '.join(missing)}; decorate functions of these names with @hookimpl"
        raise TypeError(message)
    for name in names:
        _check_signature(name, getattr(plugin, name))


def _check_signature(name: str, function: Any) -> None:
    # pluggy up to 1.6 lets a default silently win over the value that the caller passed.
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or parameter.default is not parameter.empty:
            message = f"hook {name}: expected plain arguments without defaults, got {parameter}; remove the default"
            raise TypeError(message)


def _register_wrapper(manager: pluggy.PluginManager, wrapper: Any) -> None:
    try:
        manager.register(wrapper)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        message = f"wrapper {wrapper!r} does not fit the hooks: {error}"
        raise TypeError(message) from error
    for caller in manager.get_hookcallers(wrapper) or []:
        for implementation in caller.get_hookimpls():
            if implementation.plugin is wrapper and not implementation.wrapper:
                message = f"wrapper {wrapper!r} would replace the hook {caller.name}; use @hookimpl(wrapper=True)"
                raise TypeError(message)


def choose_backend(model: Any) -> BackendInfo:
    """Return the backend that recognizes a live model, else the agnostic one; no framework is imported.

    Raises:
        AmbiguousBackendError: Several recognize it.
        BackendNotInstalledError: The model's own framework has a backend of ours that is not installed.
        BrokenBackendError: The model's own framework has a backend that is installed but broken.
    """
    if isinstance(model, str | PathLike | tuple):
        model = _resolved(model)
    recognizing: list[BackendInfo] = []
    broken: dict[str, BrokenBackendError] = {}
    for info in list_backends().values():
        try:
            backend = load_backend(info)
        except BrokenBackendError as error:
            broken.update(dict.fromkeys(info.aliases, error))
            continue
        if backend.has("recognizes") and backend.hook.recognizes(model=model):
            recognizing.append(info)
    if len(recognizing) > 1:
        names = " and ".join(repr(info.name) for info in recognizing)
        message = f"a model of type {type(model).__qualname__} is recognized by {names}; choose one with backend=..."
        raise AmbiguousBackendError(message)
    if recognizing:
        return recognizing[0]
    # The model's own framework may have a backend that cannot be used; the agnostic one would only hide that.
    for framework in sorted({kind.__module__.partition(".")[0] for kind in type(model).__mro__}):
        if framework in broken:
            raise broken[framework]
        if framework in known_backends():
            find_backend(framework)  # raises where it is not installed
    return find_backend("numpy")


def _resolved(model: Any) -> Any:
    """Return the live model behind ``"module:attribute"``; the path of a file does not tell whose it is.

    Raises:
        ValueError: It is a path.
    """
    if isinstance(model, str) and is_import_path(model):
        return import_model(model)
    message = (
        f"a file does not tell its framework: {model!r}; set backend=..., one of "
        f"{', '.join(map(repr, sorted(list_backends())))}"
    )
    raise ValueError(message)
