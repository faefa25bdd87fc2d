"""The distributions as users get them: built wheels, installed alone into fresh environments."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from probly.data_generator.testing import BackendConformance
from tests.conftest import BACKENDS
from tests.tiny import build_wheel, install

ROOT = Path(__file__).parents[2]
PLUGINS = {
    "torch": "torch_backend",
    "jax": "jax_backend",
    "tensorflow": "tf_backend",
    "onnx": "onnx_backend",
    "sklearn": "sklearn_backend",
}
FRAMEWORKS = {
    "torch": "torch", "jax": "jax", "tensorflow": "tensorflow", "onnx": "onnxruntime", "sklearn": "sklearn"
}  # fmt: skip

# What a suite needs beside pytest, for its models.
NEEDED = {"jax": ["flax"]}

# The oldest versions that pyproject.toml admits.
FLOORS = ["importlib-metadata==6.0.0", "numpy==1.26.0", "pluggy==1.2.0", "tqdm==4.60.0"]

# In code, comments and documentation.

PYTEST_INI = """
[pytest]
addopts = --import-mode=importlib --strict-markers -p no:cacheprovider
filterwarnings = error
"""

RUN = """
import importlib.util

assert not [other for other in {absent!r} if importlib.util.find_spec(other)], "another framework is installed"
import probly.data_generator as fod
assert set(fod.list_backends()) == {{"numpy", {name!r}}}, fod.list_backends()
print(fod.__file__)
"""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """Build the wheels of the core and of every plugin."""
    folder = tmp_path_factory.mktemp("dist")
    projects = [ROOT, *(ROOT / "plugins" / plugin for plugin in PLUGINS.values())]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
    subprocess.run([*command, *map(str, projects)], check=True, capture_output=True)
    return {wheel.name.split("-")[0]: wheel for wheel in folder.glob("*.whl")}


def install_into(python, *wanted, pinned=True):
    """Install or upgrade distributions, in the versions that the other tests run with or in any."""
    versions = ["-c", ROOT / "constraints.txt"] if pinned else []
    command = [python, "-m", "pip", "install", "--quiet", "--upgrade", *versions, *wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Environment(NamedTuple):
    """A virtual environment: its Python, and the distributions that were in it before any tool of the tests."""

    python: Path
    installed: set[str]


def environment(name, wheels, folder):
    """Return a new environment with the core and this backend alone, or with the oldest libraries (floors)."""
    venv.create(folder / "env", with_pip=True, symlinks=True)
    python = folder / "env" / "bin" / "python"
    plugin = [wheels[f"probly_data_generator_{name}"]] if name in PLUGINS else []
    floors = FLOORS if name == "floors" else []
    install_into(python, wheels["probly_data_generator"], *plugin, *floors, pinned=not floors)
    names = run(python, "import importlib.metadata as m; print(*(d.name for d in m.distributions()))")
    return Environment(python, {name.lower().replace("_", "-") for name in names.split()})


def run_conformance(python, name):
    """Run a backend's conformance suite in an environment, with nothing of this repository but its file."""
    folder = python.parents[2] / "conformance"
    folder.mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text(PYTEST_INI)
    shutil.copyfile(ROOT / "tests" / "frameworks" / f"{name}.py", folder / f"test_conformance_of_{name}.py")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST"))}
    command = [python, "-I", "-m", "pytest", "-q", "-rfEsx", folder]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed >= len(CHECKS) - done.stdout.count("XFAIL"), done.stdout
    assert "skipped" not in done.stdout


CHECKS = [name for name in dir(BackendConformance) if name.startswith("test_")]


def run(python, code, **options):
    """Run code in another interpreter, without this one's paths, and return what it prints."""
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheels_hold_what_they_should(wheels):
    assert set(wheels) == {"probly_data_generator", *(f"probly_data_generator_{name}" for name in PLUGINS)}
    for name, wheel in wheels.items():
        files = zipfile.ZipFile(wheel).namelist()
        package = "probly/data_generator" if name == "probly_data_generator" else name
        assert f"{package}/py.typed" in files
        assert f"{package}/__init__.py" in files
        assert "probly/__init__.py" not in files, "it would hide the host library"
        assert not [file for file in files if file.startswith(("tests", "examples"))]
        (entry_points,) = (file for file in files if file.endswith("entry_points.txt"))
        assert "[probly.data_generator.backends]" in zipfile.ZipFile(wheel).read(entry_points).decode()
        (metadata,) = (file for file in files if file.endswith("dist-info/METADATA"))
        text = zipfile.ZipFile(wheel).read(metadata).decode()
        assert "License-Expression: MIT" in text
        assert "Requires-Python: >=3.11" in text


def test_every_plugin_has_the_same_files():
    def tree(plugin):
        (package,) = (ROOT / "plugins" / plugin).glob("probly_data_generator_*")
        return {"pyproject.toml", "README.md"} | {file.name for file in package.iterdir() if file.is_file()}

    required = {"__init__.py", "backend.py", "dataset.py", "models.py", "posterior.py", "py.typed"}
    for plugin in PLUGINS.values():
        assert required <= tree(plugin)
        assert (ROOT / "plugins" / plugin / "README.md").exists()


def test_the_core_installs_alone_and_needs_four_libraries(wheels, tmp_path):
    python, installed = environment("numpy", wheels, tmp_path)
    assert installed - {"pip", "setuptools", "probly-data-generator"} == {
        "numpy",
        "pluggy",
        "importlib-metadata",
        "tqdm",
        "zipp",  # of importlib-metadata
        "lazy-importer",  # likewise
    }
    code = (
        "from probly.data_generator.first_order_datagenerator import FirstOrderDataGenerator\n"
        "import numpy as np\n"
        "print(FirstOrderDataGenerator(lambda x: x).generate_distributions(np.eye(3)))\n"
        "try:\n import probly.data_generator.torch_first_order_generator\n"
        "except ImportError as error: print(error)\n"
    )
    printed = run(python, code)
    assert "3 samples x 3 classes" in printed
    assert "pip install probly-data-generator-torch" in printed


@pytest.mark.parametrize("name", BACKENDS)
def test_each_backend_installs_alone_and_passes_the_suite(name, wheels, tmp_path):
    python = environment(name, wheels, tmp_path).python
    absent = [module for other, module in FRAMEWORKS.items() if other != name]
    imported = run(python, RUN.format(name=name, absent=absent)).strip()
    assert Path(imported).is_relative_to(python.parents[1]), "the installed one"
    install_into(python, "pytest", *NEEDED.get(name, []))
    run_conformance(python, name)


def test_that_another_framework_is_there_would_be_noticed():
    """The control of the test above: this environment has them all."""
    code = RUN.format(name="numpy", absent=[FRAMEWORKS.get(name, name) for name in BACKENDS])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "another framework is installed" in done.stderr


def test_beside_the_host_library(wheels, tmp_path):
    """PyPI's `probly` is a regular package; installed in the same site-packages, both import."""
    host = build_wheel(
        tmp_path, "probly", {"probly/__init__.py": "HOST = True\n", "probly/metrics.py": "x = 1\n"}, {}, version="0.3.0"
    )
    site = tmp_path / "site"
    install(site, host, wheels["probly_data_generator"])
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import probly, probly.metrics, probly.data_generator as fod\n"
        "assert probly.HOST and probly.metrics.x == 1\n"
        "assert fod.__file__.startswith(sys.path[0]), fod.__file__\n"
        "print(sorted(fod.list_backends())[:1] or 'none')\n"
    )
    assert run(sys.executable, code).strip()


def test_the_declared_floors_are_enough(wheels, tmp_path):
    """The oldest versions that pyproject.toml admits pass the suite, too, pluggy's silent defaults included."""
    declared = (ROOT / "pyproject.toml").read_text()
    for floor in FLOORS:
        assert f'"{floor.removesuffix(".0").replace("==", ">=")}"' in declared
    python = environment("floors", wheels, tmp_path).python
    code = """
import numpy as np, pluggy, importlib_metadata
assert pluggy.__version__ == "1.2.0" and np.__version__ == "1.26.0"
from probly.data_generator import FirstOrderDataGenerator, hookimpl, numpy_backend
from probly.data_generator.discovery import rules

class Timing:
    calls = 0
    @hookimpl(wrapper=True)
    def forward(self, model, inputs):
        Timing.calls += 1
        return (yield)

generator = FirstOrderDataGenerator(lambda x: x, batch_size=2, output_mode="logits", wrappers=[Timing()])
rows = np.asarray(generator.generate_distributions(np.zeros((5, 4))))
assert (rows == 0.25).all() and Timing.calls == 3
np.array(generator.generate_distributions(np.zeros((5, 4))), copy=True)

@hookimpl
def forward(model, inputs, output_mode, batch_size=64):
    return inputs
try:
    contract.check_signature("forward", forward)
except TypeError as error:
    print(error)
"""
    assert "remove the default" in run(python, code)
    install_into(python, "pytest==7.4.4", *FLOORS, pinned=False)  # later ones want a later pluggy
    run_conformance(python, "numpy")


def test_the_newest_pluggy_passes_the_suite(wheels, tmp_path):
    python = environment("numpy", wheels, tmp_path).python
    install_into(python, "pytest")
    install_into(python, "pluggy", pinned=False)
    run_conformance(python, "numpy")


def test_importing_the_package_imports_no_framework_and_no_progress_bar():
    code = (
        "import sys, probly.data_generator as fod\n"
        "fod.list_backends()\n"
        "heavy = ('torch', 'jax', 'tensorflow', 'keras', 'sklearn', 'pandas', 'matplotlib', 'tqdm', 'pytest')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
