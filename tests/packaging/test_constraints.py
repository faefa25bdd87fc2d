"""The files in constraints/ fit the projects that they are made of, and each other."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ALL_BACKENDS
from tests.packaging.environments import PROJECTS, ROOT, backends

FILES = {path.stem: path for path in (ROOT / "constraints").glob("*.txt")}
TOOLS = {"store", "report", "evaluation", "command_line"}


def pinned(name):
    """Return the version of each distribution in a file; where systems differ, the last one."""
    lines = FILES[name].read_text(encoding="utf-8").splitlines()
    found = (re.match(r"([\w.-]+)==([^ ;]+)", line) for line in lines)
    return {canonicalize_name(match[1]): match[2] for match in found if match}


def declared(folder, group=None):
    """Return what a project, or a group of it, requires of others."""
    read = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    texts = read.get("dependency-groups", {}).get(group, []) if group else read["project"]["dependencies"]
    return [one for one in map(Requirement, texts) if not one.name.startswith("probly-data-generator")]


def lacking(required, name):
    """Return the requirements that a file does not pin, or outside their bounds."""
    there = pinned(name)
    versions = ((one, there.get(canonicalize_name(one.name))) for one in required)
    return [str(one) for one, version in versions if version is None or not one.specifier.contains(version)]


@pytest.mark.parametrize("folder", PROJECTS.values(), ids=lambda folder: folder.name)
def test_what_the_projects_require_is_pinned(folder):
    """`make constraints` adds what is new."""
    required = [*declared(folder), *declared(folder, "tests")]
    assert lacking(required, "tests") == []
    if folder != ROOT and folder.name not in TOOLS:
        assert lacking([*required, *declared(ROOT, "tests")], folder.name) == []


@pytest.mark.parametrize("group", ["demo", "lint", "docs", "bench", "release"])
def test_what_each_group_requires_is_pinned(group):
    assert lacking(declared(ROOT, group), group) == []


def test_that_something_is_not_pinned_would_be_noticed():
    wanted = [Requirement("numpy<1"), Requirement("nobody-pins-this"), Requirement("numpy>=1")]
    assert lacking(wanted, "tests") == ["numpy<1", "nobody-pins-this"]


def test_the_files_agree_and_can_be_installed_together():
    versions = {}
    for name in FILES:
        for distribution, version in pinned(name).items():
            assert versions.setdefault(distribution, version) == version, (name, distribution)


def test_torch_is_the_cpu_wheel_and_nothing_brings_cuda_along():
    assert pinned("tests")["torch"] == "2.13.0"
    heavy = {name for file in FILES for name in pinned(file) if name.startswith(("nvidia", "cuda", "triton"))}
    assert heavy <= {"nvidia-nccl-cu12"}, "XGBoost requires that one"


def test_make_tests_the_backends_that_there_are():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    tested = re.search(r"^TEST_BACKENDS := (.*)$", makefile, re.MULTILINE)[1].split()
    assert {"numpy", *tested} == set(ALL_BACKENDS)
    assert {backends()[name] for name in tested} == set(backends().values()), "each plugin by one of its names"
