"""Three backends of strangers in one environment: their wheels, the core, the store, the command line and pytest."""

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.packaging.linked import link
from tests.tiny import build, build_projects, build_wheel

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
STRANGERS = {
    "shelf": (EXAMPLES / "backend_template", "shelf_arrays"),
    "abacus": (EXAMPLES / "backend_numpy", "abacus"),
    "grove": (EXAMPLES / "backend_trees", "grove"),
}
"""The folder of each backend, and the library in it."""
OURS = ("probly_data_generator", "probly_data_generator_store", "probly_data_generator_command_line")

# A wrapper, as strangers write them, that slows a model down and pulls the plug at its n-th batch.
PLUG = """
import os, signal, time
from probly.data_generator import hookimpl

class Plug:
    def __init__(self, hook):
        self.left = int(os.environ["PLUG_AFTER"])

    @hookimpl(wrapper=True)
    def forward(self):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        time.sleep(float(os.environ["PLUG_SECONDS"]))
        print("called", flush=True)
        return (yield)
"""


class Environment:
    """A virtual environment with all that, and nothing else."""

    def __init__(self, folder):
        ours = _ours(folder / "ours")
        wheels = [*ours, *_theirs(folder)]
        wheels.append(
            build_wheel(
                folder,
                "tiny-plug",
                {"tiny_plug.py": PLUG},
                {"plug": "tiny_plug:Plug"},
                group="probly.data_generator.wrappers",
            )
        )
        venv.create(folder / "env", with_pip=False, symlinks=True)
        self.python = folder / "env" / "bin" / "python"
        (site,) = (folder / "env" / "lib").glob("python*/site-packages")
        link(site, ["pytest"], ours)
        command = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-index"]
        done = self._run([*command, *wheels])
        assert done.returncode == 0, done.stderr

    def run(self, code):
        """Run code, and return what it prints."""
        done = self._run([self.python, "-I", "-c", code])
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def suite(self, name, *options):
        """Run the suite of a backend in an empty folder, with nothing of this repository but its file."""
        tests = STRANGERS[name][0] / "tests" / "test_conformance.py"
        with tempfile.TemporaryDirectory() as folder:
            copied = Path(folder) / "test_conformance.py"
            copied.write_bytes(tests.read_bytes())
            return self._run(
                [self.python, "-I", "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *options, copied],
                cwd=folder,
            )

    def first_order(self, *arguments, cwd, **variables):
        """Run the command line in a folder."""
        return self._run([self.python.with_name("first-order"), *arguments], cwd=cwd, env={**os.environ, **variables})

    def _run(self, command, **options):
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


def _ours(folder):
    """Return our wheels: those that make has built, or new ones."""
    if "WHEELS" in os.environ:
        built = Path(os.environ["WHEELS"]).absolute().glob("*.whl")
    else:
        built = build(folder, ROOT, ROOT / "plugins" / "store", ROOT / "plugins" / "command_line")
    return [wheel for wheel in built if wheel.name.split("-")[0] in OURS]


def _theirs(folder):
    projects = [project for backend, library in STRANGERS.values() for project in (backend, backend / library)]
    return build_projects(folder / "theirs", folder / "projects", *projects)
