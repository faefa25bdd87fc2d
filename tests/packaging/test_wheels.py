"""What the distributions hold and declare, and how they stand beside each other."""

import subprocess
import sys
import tomllib
import zipfile

from probly.data_generator.discovery.listing import known_backends
from tests.packaging.environments import CORE, PROJECTS, ROOT, backends, project
from tests.tiny import build_wheel, install


def test_wheels_hold_what_they_should(wheels):
    assert wheels.keys() == PROJECTS.keys()
    for name, wheel in wheels.items():
        archive = zipfile.ZipFile(wheel)
        files = archive.namelist()
        package = "probly/data_generator" if name == "probly_data_generator" else name
        assert f"{package}/py.typed" in files
        assert f"{package}/__init__.py" in files
        assert "probly/__init__.py" not in files, "it would hide the host library"
        assert not [file for file in files if file.startswith(("tests", "examples"))]
        (metadata,) = (file for file in files if file.endswith("dist-info/METADATA"))
        text = archive.read(metadata).decode()
        assert "License-Expression: MIT" in text
        assert "Requires-Python: >=3.11" in text
        declared = "entry-points" in project(name) or "scripts" in project(name)
        assert any(file.endswith("entry_points.txt") for file in files) == declared


def test_every_backend_has_the_same_files_for_the_same_subjects():
    required = {"__init__.py", "backend.py", "models.py", "forward.py", "py.typed"}
    subjects = required | {
        f"{name}.py" for name in ("arrays", "data", "devices", "digest", "files", "options", "posterior", "training")
    }
    for name in set(backends().values()):
        names = {file.name for file in (PROJECTS[name] / name).iterdir() if file.is_file()}
        assert required <= names, name
        # Whatever else there is has names of its own: what only one library knows, such as padding and pictures.
        assert len(names & subjects) >= min(7, len(names) / 2), name


def test_every_wheel_brings_the_licence(wheels):
    for wheel in wheels.values():
        with zipfile.ZipFile(wheel) as content:
            (name,) = (name for name in content.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
            assert content.read(name) == (ROOT / "LICENSE").read_bytes(), wheel


def test_all_have_one_version_and_require_the_core_of_it():
    version = project(CORE)["version"]
    for name, folder in PROJECTS.items():
        assert project(name)["version"] == version, name
        assert (folder / "README.md").exists()
        ours = [text for text in project(name)["dependencies"] if text.startswith("probly-data-generator")]
        assert (name == CORE) == (ours == []), name
        assert all(text.endswith(f">={version}") for text in ours), (name, ours)


def test_every_plugin_is_in_the_lists_of_pyproject():
    """What mypy and the import contracts read is said, so that what was forgotten would not be checked."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    expected = {"probly.data_generator" if name == CORE else name for name in PROJECTS}
    folders = {str(folder.relative_to(ROOT)) for folder in PROJECTS.values() if folder != ROOT}
    assert set(tool["mypy"]["packages"]) == expected
    assert set(tool["mypy"]["mypy_path"].split(":")) == {"core", *folders}
    assert set(tool["importlinter"]["root_packages"]) == expected
    contracts = {contract["name"]: contract for contract in tool["importlinter"]["contracts"]}
    plugins = expected - {"probly.data_generator"}
    assert set(contracts["no plugin imports another"]["modules"]) == plugins
    assert set(contracts["the core imports no plugin but through the promised paths"]["forbidden_modules"]) == plugins
    assert set(contracts["no circles"]["ancestors"]) == expected


def test_the_extras_name_distributions_that_are_here(wheels):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = {
        requirement
        for extra in project["optional-dependencies"].values()
        for requirement in extra
        if requirement.startswith("probly-data-generator")
    }
    assert {name.replace("-", "_") for name in ours} == set(wheels) - {"probly_data_generator"}
    assert len(project["dependencies"]) == 4
    assert set(known_backends()) <= set(backends()), "TOOLS in discovery/listing.py lacks an extra that is no backend"


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
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip(), done.stderr


def test_importing_the_package_imports_no_framework_and_no_progress_bar():
    code = (
        "import sys, probly.data_generator as fod\n"
        "fod.list_backends()\n"
        "heavy = ('torch', 'jax', 'tensorflow', 'keras', 'sklearn', 'pandas', 'matplotlib', 'tqdm', 'pytest')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
