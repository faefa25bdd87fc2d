"""What is installed here, seen from another environment: links to some distributions, instead of a second download.

The files of a large framework are the same whether pip unpacks them once more, which takes a minute, or an environment
links to those that are unpacked already.
"""

import functools
import importlib.metadata
import zipfile
from collections import Counter
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = "probly-data-generator"


def link(site, wanted, wheels=()):
    """Link what requirements need, and all that this needs, into the site-packages of an environment.

    Args:
        site: The folder.
        wanted: Requirements, as pip takes them.
        wheels: Wheels that will be installed there: what they require is linked, they are not.
    """
    for distribution in needed(wanted, wheels).values():
        _link(site, distribution)


def needed(wanted, wheels):
    """Return the distributions here, by name, that requirements ask for and that wheels of ours require."""
    requirements = map(Requirement, [*wanted, *(text for wheel in wheels for text in _requires(wheel))])
    return closure([requirement for requirement in requirements if _holds(requirement, {""})])


def ours_with(wheels, names):
    """Return the wheels of these distributions of ours, and of those of ours that they require."""
    found, waiting = {}, list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = wheels[name]
            further = map(Requirement, _requires(wheels[name]))
            waiting += [_file_name(one.name) for one in further if one.name.startswith(OURS) and _holds(one, {""})]
    return list(found.values())


def _file_name(name):
    return canonicalize_name(name).replace("-", "_")


def closure(requirements):
    """Return the distributions here that requirements ask for, directly or through others, by name; none of ours."""
    found, seen, waiting = {}, set(), list(requirements)
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if name.startswith(OURS) or (name, extras) in seen:
            continue
        seen.add((name, extras))
        found[name] = distribution = importlib.metadata.distribution(name)
        further = [Requirement(text) for text in distribution.requires or ()]
        waiting += [one for one in further if _holds(one, {"", *extras})]
    return found


def _holds(requirement, extras):
    """Say whether a requirement counts on this machine, for some extras."""
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def _requires(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])


def _link(site, distribution):
    """Link to whole folders of one distribution, and into folders that several share to each file."""
    home = Path(distribution.locate_file(""))
    for top, files in _files(distribution).items():
        if _owners()[top] == 1 and not (site / top).exists():
            (site / top).symlink_to(home / top)
            continue
        for file in files:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).symlink_to(home / file)


def _files(distribution):
    """Return the files of a distribution inside of site-packages, by the first part of their paths."""
    files = {}
    for line in (distribution.read_text("RECORD") or "").splitlines():
        path = line.rsplit(",", 2)[0].strip('"')
        if not path.startswith(("../", "/")):
            files.setdefault(path.partition("/")[0], []).append(path)
    return files


@functools.cache
def _owners():
    """Return how many distributions have files in each folder of site-packages."""
    return Counter(top for distribution in importlib.metadata.distributions() for top in _files(distribution))
