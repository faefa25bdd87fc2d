"""Tiny distributions, really built as wheels and really installed, for what only installed plugins can show."""

import importlib.util
import subprocess
import sys
import textwrap
import zipfile

GROUP = "probly.data_generator.backends"

GOOD_BACKEND = """
import numpy as np
from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.numpy_backend import backend as numpy_

load_model = numpy_.load_model
forward = numpy_.forward
posterior_params = numpy_.posterior_params
"""


def build_wheel(folder, name, modules, entry_points, version="1.0", group=GROUP, requires=()):
    """Write a pure-Python wheel and return its path; ``modules`` maps file names to source."""
    module_name = name.replace("-", "_")
    info = f"{module_name}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    lines = "".join(f"{key} = {value}\n" for key, value in entry_points.items())
    files = {path: textwrap.dedent(source) for path, source in modules.items()} | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[{group}]\n{lines}",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = folder / f"{module_name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, source in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, source)
    return wheel


def install(site, *wheels):
    """Install wheels into a folder with pip."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site)]
    subprocess.run([*command, *map(str, wheels)], check=True, capture_output=True)


def build_projects(folder, copies, *projects):
    """Build the wheels of projects and return their paths; from copies, so that the repository stays as it is."""
    made = []
    for project in projects:
        target = copies / project.name
        for file in project.rglob("*"):
            inside = file.relative_to(project)
            if file.is_file() and not {"__pycache__", "dist", "build"} & set(inside.parts):
                (target / inside).parent.mkdir(parents=True, exist_ok=True)
                (target / inside).write_bytes(file.read_bytes())
        made.append(target)
    return build(folder, *made)


def build(folder, *projects):
    """Build the wheels of projects where they are, and return the paths of all wheels in the folder."""
    # Where hatchling is installed, pip need not download it anew for every project.
    here = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *here, "--wheel-dir", str(folder)]
    done = subprocess.run([*command, *map(str, projects)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(folder.glob("*.whl"))
