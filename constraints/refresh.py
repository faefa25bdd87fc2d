"""Make the files beside this one from the projects: the versions that the tests pass with, by purpose.

    make constraints                      # what is pinned stays, what is new is added
    make constraints UPGRADE=--upgrade    # the newest of everything

`tests.txt` has everything that the tests of all plugins need. Of this, `core.txt` is the part without a framework, and
there is one for each plugin that brings one; `demo`, `lint`, `docs`, `bench` and `release` are for the targets of those
names. Whatever two files have in common has one version, so that they can be installed together. They hold for every
system and every Python that pyproject.toml admits.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ("store", "report", "evaluation", "command_line")
"""The plugins without a framework."""


def read(folder):
    """Return what a project declares."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
NAMES = {read(folder)["project"]["name"]: folder for folder in PROJECTS}


def with_ours(folders):
    """Return projects, and those of ours that they require."""
    found, waiting = [], list(folders)
    while waiting:
        folder = waiting.pop(0)
        if folder not in found:
            found.append(folder)
            required = (text.partition(">=")[0] for text in read(folder)["project"]["dependencies"])
            waiting += [NAMES[name] for name in required if name in NAMES]
    return sorted(found)


def compile_(name, folders, group, *options):
    """Write one file: what some projects and their groups need."""
    folders = with_ours(folders)
    groups = [f"pyproject.toml:{group}"]
    if group == "tests":
        others = [folder for folder in folders if folder != ROOT and group in read(folder).get("dependency-groups", {})]
        groups += [f"{folder.relative_to(ROOT)}/pyproject.toml:{group}" for folder in others]
    constraints = [] if name == "tests" else ["-c", "constraints/tests.txt"]
    command = [Path(sys.executable).with_name("uv"), "pip", "compile", "-", "--quiet", "--no-annotate"]
    command += ["--universal", "--fork-strategy", "fewest", "--python-version", "3.11", *options, *constraints]
    command += ["--custom-compile-command", "make constraints", "-o", f"constraints/{name}.txt"]
    command += [word for chosen in groups for word in ("--group", chosen)]
    command += [word for ours in NAMES for word in ("--no-emit-package", ours)]
    paths = "".join(f"./{folder.relative_to(ROOT)}\n" for folder in folders)
    print(f"constraints/{name}.txt", flush=True)
    subprocess.run(command, input=paths, text=True, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def main(options):
    """Write all files."""
    tools = [ROOT, *(ROOT / "plugins" / name for name in TOOLS)]
    compile_("tests", PROJECTS, "tests", *options)
    compile_("core", tools, "tests", *options)
    for folder in PROJECTS:
        if folder not in tools:
            compile_(folder.name, [*tools, folder], "tests", *options)
    compile_("demo", [*tools, ROOT / "plugins" / "store"], "demo", *options)
    for group in ("lint", "docs", "bench", "release"):
        compile_(group, [ROOT], group, *options)


if __name__ == "__main__":
    main(sys.argv[1:])
