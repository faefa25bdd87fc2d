"""What is installed here, seen from another environment: links to some distributions, instead of a second download.

The files of a large framework are the same whether pip unpacks them once more, which takes a minute, or an environment
links to those that are unpacked already.
"""

import errno
import importlib.metadata
import os
import shutil
import zipfile
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
    """Link every file in site-packages; symbolic links would not do, for they lead those who resolve them back here."""
    home = Path(distribution.locate_file(""))
    files = [line.rsplit(",", 2)[0].strip('"') for line in distribution.read_text("RECORD").splitlines()]
    inside = [file for file in files if not file.startswith(("../", "/"))]
    inside = [file for file in inside if not file.endswith(".pyc") or (home / file).exists()]  # pip need not make them
    for folder in {(site / file).parent for file in inside}:
        folder.mkdir(parents=True, exist_ok=True)
    for file in inside:
        _same(home / file, site / file)


def _same(source, target):
    """Link a file, or copy it where the two lie on different disks."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copy2(source, target)
