"""What is installed, by name: from the metadata of the distributions alone, without importing any of them."""

import contextlib
import difflib
import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import importlib_metadata

from probly.data_generator.errors import (
    AmbiguousBackendError,
    BackendError,
    BackendNotInstalledError,
    BrokenBackendError,
    NotInstalledError,
    UnknownBackendError,
)
from probly.data_generator.installing import CORE, install_advice

BACKENDS = "probly.data_generator.backends"
WRAPPERS = "probly.data_generator.wrappers"
FORMATS = "probly.data_generator.formats"
COMMANDS = "probly.data_generator.commands"
ENGINES = "probly.data_generator.engines"
"""The groups of entry points: what strangers add to without asking us."""
TOOLS = ("all", "cli", "evaluation", "images", "parquet", "ray", "report", "s3", "standard", "store")
"""The extras of the core that name no backend."""


@dataclass(frozen=True)
class BackendInfo:
    """What the metadata of a distribution says of a backend, wrapper, format or command; nothing has been imported.

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


Claims = dict[str, list[BackendInfo]]


def list_backends() -> dict[str, BackendInfo]:
    """Return the installed backends by name, without importing any of them.

    Two names of one distribution with the same value are aliases. A name that two distributions claim is not listed;
    ``find_backend`` refuses it and says whose it is.

    Examples:
        >>> list_backends()["numpy"].aliases
        ('agnostic', 'numpy')
    """
    installed = claims()
    single = {alias: infos[0] for alias, infos in installed.items() if len(infos) == 1}
    return {info.name if info.name in single else alias: info for alias, info in single.items()}


def list_wrappers() -> dict[str, BackendInfo]:
    """Return the installed wrapper plugins by name, without importing any of them; see ``list_backends``.

    Examples:
        >>> all(info.distribution for info in list_wrappers().values())
        True
    """
    return {name: infos[0] for name, infos in claims(WRAPPERS).items() if len(infos) == 1}


def find_backend(name: str) -> BackendInfo:
    """Return the installed backend of this name or alias.

    Raises:
        UnknownBackendError: There is none, and no extra of ours is called so.
        BackendNotInstalledError: An extra of ours is called so; the message says what to install.
        AmbiguousBackendError: Two distributions claim the name.
    """
    installed, known = claims(), known_backends()
    if name in known and name not in installed:
        raise BackendNotInstalledError(missing_message(name))
    return single_claim(name, installed, ("framework", "backend"), tuple(known))


def single_claim(name: str, installed: Claims, nouns: tuple[str, str], known: Sequence[str] = ()) -> BackendInfo:
    """Return what alone claims a name.

    Args:
        name: The name.
        installed: What is installed.
        nouns: What an unknown and an installed one are called in messages.
        known: Further names to suggest.

    Raises:
        UnknownBackendError: Nothing claims it.
        AmbiguousBackendError: More than one does.
    """
    found = installed.get(name, [])
    if len(found) > 1:
        claimants = " and ".join(sorted(f"{info.distribution} {info.version}" for info in found))
        message = f"Ambiguous {nouns[1]} {name!r}: claimed by {claimants}; uninstall one of them"
        raise AmbiguousBackendError(message)
    if found:
        return found[0]
    close = difflib.get_close_matches(str(name), list(dict.fromkeys([*installed, *known])), n=3)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    damaged = _scan(BACKENDS)[1]
    unread = f"; distributions that cannot be read: {'; '.join(damaged)}" if damaged else ""
    names = ", ".join(sorted(installed)) or "none"
    message = f"Unknown {nouns[0]}: {name} (installed {nouns[1]}s: {names}){hint}{unread}"
    raise UnknownBackendError(message)


@contextlib.contextmanager
def blaming(info: BackendInfo, what: str) -> Iterator[None]:
    """Say whose it is and what to do when a plugin cannot be imported or is not what it should be.

    Args:
        info: The plugin.
        what: What it is called in the message.

    Raises:
        BrokenBackendError: The block raised anything, sys.exit() included: a plugin may fail in any way while it is
            imported, and must take nobody else down. What says that a distribution is not installed passes.
    """
    try:
        yield
    except NotInstalledError:
        raise
    except (Exception, SystemExit) as error:
        message = (
            f"{what} ({info.distribution} {info.version}) is installed but broken: "
            f"{type(error).__name__}: {error}; reinstall or uninstall {info.distribution}"
        )
        raise BrokenBackendError(message) from error


def missing_message(name: str) -> str:
    """Say what to install for a known backend."""
    return f"backend {name!r} is not installed; {install_advice(known_backends()[name])}"


def explain_missing(error: ImportError, name: str) -> BackendError:
    """Return the error for a backend of which something cannot be imported: the backend itself, or its framework."""
    installed = claims().get(name)
    if not installed:
        return BackendNotInstalledError(missing_message(name))
    info = installed[0]
    advice = install_advice(info.distribution, options=["--force-reinstall"])  # with what it requires
    message = f"backend {info.name!r} ({info.distribution} {info.version}) is installed but broken: {error}; {advice}"
    return BrokenBackendError(message)


@functools.cache
def known_backends() -> Mapping[str, str]:
    """Return the backend distribution behind each extra of the core that names one, installed or not."""
    pattern = re.compile(rf"(?P<distribution>{CORE}-[\w.-]+)\s*;\s*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"]")
    requirements = importlib_metadata.requires(CORE) or []
    matches = (pattern.fullmatch(requirement.strip()) for requirement in requirements)
    return {match["extra"]: match["distribution"] for match in matches if match and match["extra"] not in TOOLS}


def claims(group: str = BACKENDS) -> Claims:
    """Return every name with the backends that claim it, one per distribution and value."""
    return _scan(group)[0]


def _scan(group: str) -> tuple[Claims, list[str]]:
    """Return the claims of all distributions, and what is wrong with those whose metadata cannot be read."""
    claimed: Claims = defaultdict(list)
    damaged: list[str] = []
    seen: set[str] = set()
    for distribution in importlib_metadata.distributions():
        try:
            infos = _provided(distribution, group)
        # One damaged folder, such as an interrupted installation leaves, must not hide everybody else's backend.
        except Exception as error:  # noqa: BLE001
            damaged.append(f"{getattr(distribution, '_path', distribution)} ({type(error).__name__}: {error})")
            continue
        # The first match on sys.path is the one that gets imported; a shadowed copy of it is no second claim.
        if infos and infos[0].distribution not in seen:
            seen.add(infos[0].distribution)
            for info in infos:
                for alias in info.aliases:
                    claimed[alias].append(info)
    return dict(claimed), damaged


def _provided(distribution: Any, group: str) -> list[BackendInfo]:
    values: dict[str, dict[str, importlib_metadata.EntryPoint]] = defaultdict(dict)
    for entry_point in distribution.entry_points.select(group=group):
        values[entry_point.value][entry_point.name] = entry_point
    if not values:
        return []
    owner, version = _name_and_version(distribution)
    infos = []
    for value, entry_points in values.items():
        aliases = tuple(sorted(entry_points))
        name = _main_name(aliases, value)
        infos.append(BackendInfo(name, aliases, owner, version, entry_points[name]))
    return infos


def _name_and_version(distribution: Any) -> tuple[str, str]:
    """Return what METADATA says; the email package, which reads all of it, takes longer to import than a listing."""
    headers = (distribution.read_text("METADATA") or "").partition("\n\n")[0]
    found = re.findall(r"^(Name|Version):(.*)$", headers, re.MULTILINE | re.IGNORECASE)
    if [name for name, _ in found] == ["Name", "Version"]:
        return found[0][1].strip(), found[1][1].strip()
    metadata = distribution.metadata  # of an older kind, or one that is damaged
    if metadata is None:
        message = "it has no METADATA"
        raise FileNotFoundError(message)
    return metadata["Name"], metadata["Version"]


def _main_name(aliases: Sequence[str], value: str) -> str:
    """Return the alias that the module's own path contains (the longest, if several), else the first."""
    return max((alias for alias in aliases if alias in value), key=len, default=aliases[0])
