"""The import contracts of pyproject.toml hold, and each of them notices what it forbids."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.packaging.environments import ROOT

CODE = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(folder):
    """Check the imports of a copy of the tree and return what is said of it."""
    paths = [folder / "core", *sorted((folder / "plugins").iterdir())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-c", CODE, "--no-cache"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def tree(tmp_path):
    for name in ("core", "plugins"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("core/probly/data_generator/toolkit/nests.py", "probly.data_generator.generator", "the core's floors"),
        ("core/probly/data_generator/errors.py", "probly.data_generator.toolkit.nests", "the core's floors"),
        ("core/probly/data_generator/run/scores.py", "probly.data_generator.run.device", "the run's floors"),
        ("core/probly/data_generator/metrics.py", "probly_data_generator_store.fod", "the core imports no plugin"),
        ("plugins/report/probly_data_generator_report/page.py", "probly_data_generator_store.fod", "no plugin imports"),
        ("plugins/store/probly_data_generator_store/lock.py", "probly_data_generator_store.writer", "no circles"),
    ],
)
def test_a_forbidden_import_is_noticed(tree, file, line, broken):
    path = tree / file
    path.write_text(path.read_text(encoding="utf-8").replace('"""\n', f'"""\n\nimport {line}\n', 1), encoding="utf-8")
    done = lint(tree)
    assert done.returncode == 1, done.stdout + done.stderr
    said = [row for row in done.stdout.splitlines() if row.startswith(broken)]
    assert any("BROKEN" in row for row in said), done.stdout


def test_the_contracts_hold(tree):
    done = lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kept, 0 broken" in done.stdout
