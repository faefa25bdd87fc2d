"""What a distribution requires, in which versions it is there, and what is missing."""

import contextlib
import functools
import re
from typing import NamedTuple

import importlib_metadata

from probly.data_generator.installing import CORE, install_advice


class Requirement(NamedTuple):
    """One line of a distribution's requirements that holds everywhere, without a marker.

    Attributes:
        name: The required distribution.
        bounds: What its version must fulfil, such as ``">=2.6,<3"``.
    """

    name: str
    bounds: str


@functools.cache
def versions(distribution: str) -> dict[str, str]:
    """Return the versions of a backend's distribution, of what it requires, and of the core, for the metadata."""
    names = sorted({CORE, distribution, *(requirement.name for requirement in requirements(distribution))})
    found = {name: installed_version(name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def required_modules(distribution: str) -> set[str]:
    """Return the top-level modules of what a distribution requires, as far as they are called like it."""
    return {requirement.name.replace("-", "_").lower() for requirement in requirements(distribution)}


def requirements(distribution: str) -> list[Requirement]:
    """Return what a distribution requires, less what depends on an extra or a platform.

    Examples:
        >>> Requirement("numpy", ">=1.26") in requirements("probly-data-generator")
        True
    """
    lines = importlib_metadata.requires(distribution) or []
    matches = (re.match(r"([\w.-]+)\s*(?:\[[^\]]*\])?\s*\(?([^()]*)", line) for line in lines if ";" not in line)
    return [Requirement(match[1], match[2].strip()) for match in matches if match]


def framework_versions(distribution: str, aliases: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of what a backend requires beyond the core, or of what it is called like."""
    shared = {CORE, *(requirement.name for requirement in requirements(CORE))}
    found = versions(distribution)
    return {
        requirement.name: found[requirement.name]
        for requirement in requirements(distribution)
        if requirement.name in found and (requirement.name not in shared or requirement.name in aliases)
    }


def unmet(distribution: str) -> list[str]:
    """Say for each requirement that is missing, too old or too new what to run."""
    problems = []
    for name, bounds in requirements(distribution):
        version = installed_version(name)
        if version is None:
            problems.append(f"It requires {name}{bounds}, which is not installed; {install_advice(name + bounds)}.")
        elif not fulfils(version, bounds):
            advice = install_advice(name + bounds, options=["--upgrade"])
            problems.append(f"It requires {name}{bounds}, but {version} is installed; {advice}.")
    return problems


def installed_version(distribution: str) -> str | None:
    """Return the version of a distribution, or of a variant of it, or None if it is not installed.

    Some frameworks have several distributions of one module, of which one is installed: that of ``name-cpu`` or
    ``name-gpu`` is called ``name``.
    """
    with contextlib.suppress(importlib_metadata.PackageNotFoundError):
        return importlib_metadata.version(distribution)
    for other in importlib_metadata.distributions():
        with contextlib.suppress(Exception):  # damaged metadata of others fail in any way
            named = other.name.lower().startswith(f"{distribution.lower()}-")
            if named and any(path.parts[0] == distribution.replace("-", "_") for path in other.files or ()):
                return str(other.version)
    return None


def fulfils(version: str, bounds: str) -> bool:
    """Return whether a version is inside the bounds ``>=``, ``>``, ``<=`` and ``<``; others are left to pip.

    Compared are the numbers alone: a candidate such as ``2.0rc1`` counts as ``2.0``.

    Examples:
        >>> fulfils("2.13.0+cpu", ">=2.6"), fulfils("2.1", ">=2.6,<3"), fulfils("3.0", ">=2.6,<3.0")
        (True, False, False)
    """
    compared = {
        ">=": lambda ours, theirs: ours >= theirs,
        ">": lambda ours, theirs: ours > theirs,
        "<=": lambda ours, theirs: ours <= theirs,
        "<": lambda ours, theirs: ours < theirs,
    }
    for bound in filter(None, bounds.split(",")):
        operator, limit = re.findall(r"^\s*([<>=!~]*)\s*(.*?)\s*$", bound)[0]
        if operator in compared and not compared[operator](_numbers(version), _numbers(limit)):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """Return the epoch and the numbers of a version, without the zeros at its end."""
    match = re.match(r"v?(?:(\d+)!)?(\d+(?:\.\d+)*)?", version)
    epoch, numbers = (match[1], match[2]) if match else (None, None)
    release = [int(number) for number in (numbers or "0").split(".")]
    while release and release[-1] == 0:
        release.pop()
    return int(epoch or 0), *release
