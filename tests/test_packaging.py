"""The distributions as users get them: built wheels, installed alone into fresh environments."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import BACKENDS
from tests.tiny import build_wheel, install

ROOT = Path(__file__).parents[1]
PLUGINS = {"torch": "torch_backend", "jax": "jax_backend", "tensorflow": "tf_backend"}
FRAMEWORKS = ("torch", "jax", "tensorflow")
UNDER_TEST = [name for name in FRAMEWORKS if name in BACKENDS]

RUN = """
import importlib.util, json, sys
import numpy as np
sys.path.append({examples!r})
from same_weights import MODELS

name, absent = {name!r}, {absent!r}
assert not [other for other in absent if importlib.util.find_spec(other)], "another framework is installed"
from probly.data_generator import FirstOrderDataGenerator, list_backends
assert set(list_backends()) == {{"numpy", name}}, list_backends()

random = np.random.default_rng(0)
layers = [(random.normal(size=size).astype(np.float32), np.zeros(size[1], np.float32)) for size in ((5, 8), (8, 3))]
inputs = random.normal(size=(40, 5)).astype(np.float32)
logits = MODELS["numpy"](layers)(inputs.astype(np.float64))
expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
for backend in (name, "numpy"):
    generator = FirstOrderDataGenerator(MODELS[backend](layers), backend=backend, batch_size=16)
    distributions = generator.generate_distributions((inputs, np.arange(40)))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)
    generator.save_distributions(backend + ".json", distributions)
    assert generator.load_distributions(name + ".json")[0].labels.tolist() == list(range(40))
print("works alone", distributions.meta["versions"])
"""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """Build the wheels of all four distributions."""
    folder = tmp_path_factory.mktemp("dist")
    projects = [ROOT, *(ROOT / "plugins" / plugin for plugin in PLUGINS.values())]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
    subprocess.run([*command, *map(str, projects)], check=True, capture_output=True)
    return {wheel.name.split("-")[0]: wheel for wheel in folder.glob("*.whl")}


def fresh_environment(folder, *wheels):
    """Return the Python of a new virtual environment with these wheels and what they require."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", *wheels]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


def run(python, code, **options):
    """Run code in another interpreter, without this one's paths, and return what it prints."""
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheels_hold_what_they_should(wheels):
    assert set(wheels) == {
        "probly_data_generator",
        "probly_data_generator_torch",
        "probly_data_generator_jax",
        "probly_data_generator_tensorflow",
    }
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
    python = fresh_environment(tmp_path / "env", wheels["probly_data_generator"])
    listed = run(python, "import importlib.metadata as m; print(sorted(d.name.lower() for d in m.distributions()))")
    third_party = set(eval(listed)) - {"pip", "setuptools", "probly-data-generator"}
    assert {name.replace("_", "-") for name in third_party} == {
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


@pytest.mark.parametrize("name", UNDER_TEST)
def test_each_backend_installs_alone_and_works(name, wheels, tmp_path):
    python = fresh_environment(
        tmp_path / "env", wheels["probly_data_generator"], wheels[f"probly_data_generator_{name}"]
    )
    absent = [other for other in FRAMEWORKS if other != name]
    code = RUN.format(examples=str(ROOT / "examples"), name=name, absent=absent)
    printed = run(python, code, cwd=tmp_path)
    assert "works alone" in printed


def test_that_another_framework_is_there_would_be_noticed():
    """The control of the test above: this environment has them all."""
    present = UNDER_TEST or ["numpy"]
    code = RUN.format(examples=str(ROOT / "examples"), name="numpy", absent=present)
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
    """The oldest versions that pyproject.toml admits, pluggy's silent defaults included."""
    site = tmp_path / "site"
    floors = ["pluggy==1.2.0", "importlib-metadata==6.0.0", "numpy==1.26.0", "tqdm==4.60.0", "zipp"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", site, "--no-deps", *floors]
    subprocess.run([*command, wheels["probly_data_generator"]], check=True, capture_output=True)
    declared = (ROOT / "pyproject.toml").read_text()
    for floor in ('"pluggy>=1.2"', '"importlib-metadata>=6.0"', '"numpy>=1.26"', '"tqdm>=4.60"'):
        assert floor in declared
    code = f"""
import sys; sys.path.insert(0, {str(site)!r})
import numpy as np, pluggy, importlib_metadata
assert pluggy.__version__ == "1.2.0" and np.__version__ == "1.26.0"
from probly.data_generator import FirstOrderDataGenerator, hookimpl, backends, numpy_backend

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
    backends._check_signature("forward", forward)
except TypeError as error:
    print(error)
"""
    assert "remove the default" in run(sys.executable, code)


def test_importing_the_package_imports_no_framework_and_no_progress_bar():
    code = (
        "import sys, probly.data_generator as fod\n"
        "fod.list_backends()\n"
        "heavy = ('torch', 'jax', 'tensorflow', 'keras', 'sklearn', 'pandas', 'matplotlib', 'tqdm', 'pytest')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_cores_source_names_no_framework_outside_the_promised_paths():
    promised = {"torch_first_order_generator.py", "jax_first_order_generator.py", "tensorflow_generator.py"}
    for file in (ROOT / "core").rglob("*.py"):
        if file.name in promised:
            continue
        text = file.read_text(encoding="utf-8")
        for word in ("import torch", "import jax", "import tensorflow", "import keras", "probly_data_generator_"):
            assert word not in text, f"{file.name} names {word}"
