"""Fresh environments with nothing but what a user would have installed."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

from probly.data_generator.testing import BackendConformance
from tests.packaging.linked import link, ours_with

ROOT = Path(__file__).parents[2]
PROJECTS = {
    tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"].replace("-", "_"): file.parent
    for file in [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
}
"""The folder of each of our distributions, by the name that wheels have."""
CORE = "probly_data_generator"
CHECKS = [name for name in dir(BackendConformance) if name.startswith("test_")]

PYTEST_INI = """
[pytest]
addopts = --import-mode=importlib --strict-markers -p no:cacheprovider
filterwarnings = error
pythonpath = .
"""


def project(name):
    """Return what the pyproject.toml of a distribution of ours says."""
    return tomllib.loads((PROJECTS[name] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def backends():
    """Return the distribution of each backend that a plugin brings, by each of its names."""
    group = "probly.data_generator.backends"
    plugins = [name for name in PROJECTS if name != CORE]
    return {alias: name for name in plugins for alias in project(name).get("entry-points", {}).get(group, {})}


def built_wheels(folder):
    """Return the wheels of the core and of every plugin by name: those that make has built, or new ones."""
    made = os.environ.get("WHEELS")
    if made is None:
        for path in PROJECTS.values():
            command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
            subprocess.run(command, cwd=path, check=True, capture_output=True)
    else:
        folder = Path(made).absolute()
    return {wheel.name.split("-")[0]: wheel for wheel in folder.glob("*.whl")}


def clean():
    """Return the variables of this process without those that tell Python or pytest what to do."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))}


class Environment:
    """A new virtual environment with some distributions; pip stays outside and installs into it.

    Args:
        folder: Where.
        python: The interpreter; this one by default.
    """

    def __init__(self, folder, python=None):
        self.folder, self.python = folder, folder / "env" / "bin" / "python"
        if python is None:
            venv.create(folder / "env", with_pip=False, symlinks=True)
        else:
            subprocess.run([python, "-m", "venv", "--without-pip", folder / "env"], check=True)

    def install(self, *wanted, options=("--upgrade",)):
        """Install or upgrade distributions, as pip does it for a user."""
        command = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", *options, *wanted]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def installed(self):
        """Return the names of all distributions in it."""
        names = self.run("import importlib.metadata as m; print(*(d.name for d in m.distributions()))")
        return {name.lower().replace("_", "-") for name in names.split()}

    def run(self, code, **options):
        """Run code without the paths of this interpreter, and return what it prints."""
        done = subprocess.run([self.python, "-I", "-c", code], capture_output=True, text=True, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, *arguments, **options):
        """Run an installed program, and return how it ended."""
        program = self.python.with_name(arguments[0])
        return subprocess.run([program, *arguments[1:]], capture_output=True, text=True, **options)

    def run_conformance(self, name):
        """Run a backend's conformance suite, with nothing of this repository but its file, and what that builds on."""
        folder = self.folder / "conformance"
        (folder / "tests" / "frameworks").mkdir(parents=True, exist_ok=True)
        (folder / "pytest.ini").write_text(PYTEST_INI)
        suites = ROOT / "tests" / "frameworks"
        shutil.copyfile(suites / f"{name}.py", folder / f"test_conformance_of_{name}.py")
        source = (suites / f"{name}.py").read_text(encoding="utf-8")
        for other in re.findall(r"^from tests\.frameworks import (\w+)", source, re.MULTILINE):
            shutil.copyfile(suites / f"{other}.py", folder / "tests" / "frameworks" / f"{other}.py")
        command = [self.python, "-I", "-m", "pytest", "-q", "-rfEsx", folder]
        done = subprocess.run(command, capture_output=True, text=True, env=clean(), cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        passed = int(re.search(r"(\d+) passed", done.stdout)[1])
        assert passed >= len(CHECKS) - done.stdout.count("XFAIL"), done.stdout
        assert "skipped" not in done.stdout


class Alone(Environment):
    """An environment with some of our wheels and what they require, in the versions that are here, and nothing else.

    What is not ours is linked, and pip, without an index, then finds for each wheel that its requirements are there, in
    versions that it admits.

    Args:
        folder: Where.
        wheels: All of ours, by name.
        names: Those to install, with the others of ours that they require.
        wanted: What else is linked, such as pytest.
    """

    def __init__(self, folder, wheels, *names, wanted=()):
        super().__init__(folder)
        ours = ours_with(wheels, names)
        (site,) = (folder / "env" / "lib").glob("python*/site-packages")
        link(site, wanted, ours)
        self.install(*ours, options=["--no-index"])
