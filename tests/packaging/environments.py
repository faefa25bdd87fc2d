"""Fresh environments with nothing but what a user would have installed."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from probly.data_generator.testing import BackendConformance

ROOT = Path(__file__).parents[2]
BACKENDS = {
    "torch": "torch_backend",
    "jax": "jax_backend",
    "tensorflow": "tf_backend",
    "onnx": "onnx_backend",
    "sklearn": "sklearn_backend",
}
"""The folder of each backend below plugins/."""
TOOLS = ("store", "report", "evaluation", "command_line")
DISTRIBUTIONS = {"probly_data_generator", *(f"probly_data_generator_{name}" for name in (*BACKENDS, *TOOLS))}
CHECKS = [name for name in dir(BackendConformance) if name.startswith("test_")]

PYTEST_INI = """
[pytest]
addopts = --import-mode=importlib --strict-markers -p no:cacheprovider
filterwarnings = error
"""


def built_wheels(folder):
    """Return the wheels of the core and of every plugin by name: those that make has built, or new ones."""
    made = os.environ.get("WHEELS")
    if made is None:
        projects = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
        subprocess.run([*command, *map(str, projects)], check=True, capture_output=True)
    else:
        folder = Path(made).absolute()
    return {wheel.name.split("-")[0]: wheel for wheel in folder.glob("*.whl")}


class Environment:
    """A new virtual environment with some distributions; pip stays outside and installs into it.

    Args:
        folder: Where.
        wanted: Wheels and names.
        pinned: Whether in the versions that the other tests run with, or in any.
    """

    def __init__(self, folder, *wanted, pinned=True):
        venv.create(folder / "env", with_pip=False, symlinks=True)
        self.folder, self.python = folder, folder / "env" / "bin" / "python"
        self.install(*wanted, pinned=pinned)

    def install(self, *wanted, pinned=True):
        """Install or upgrade distributions."""
        versions = ["-c", ROOT / "constraints.txt"] if pinned else []
        command = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--upgrade"]
        done = subprocess.run([*command, *versions, *wanted], capture_output=True, text=True)
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
        """Run a backend's conformance suite, with nothing of this repository but its file."""
        folder = self.folder / "conformance"
        folder.mkdir(exist_ok=True)
        (folder / "pytest.ini").write_text(PYTEST_INI)
        shutil.copyfile(ROOT / "tests" / "frameworks" / f"{name}.py", folder / f"test_conformance_of_{name}.py")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))}
        command = [self.python, "-I", "-m", "pytest", "-q", "-rfEsx", folder]
        done = subprocess.run(command, capture_output=True, text=True, env=clean, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        passed = int(re.search(r"(\d+) passed", done.stdout)[1])
        assert passed >= len(CHECKS) - done.stdout.count("XFAIL"), done.stdout
        assert "skipped" not in done.stdout
