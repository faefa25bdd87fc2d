"""Commands beside the core and click alone: each does what it can, and says what to install for the rest."""

import subprocess
import sys

import pytest

from probly.data_generator.formats.choosing import save
from probly.data_generator.installing import install_advice
from probly_data_generator_command_line.group import OURS
from tests.command_line.commands import without

STORE, REPORT = "probly-data-generator-store", "probly-data-generator-report"
GET_STORE = install_advice("probly-data-generator[store]")
NO_STORE = f"the format .fod is not installed; {GET_STORE}"
NO_REPORT = f"not installed; {install_advice('probly-data-generator[report]')}"


@pytest.fixture
def folder(tmp_path):
    for name, row in (("a", [0.25, 0.75]), ("b", [0.5, 0.5])):
        save(tmp_path / f"{name}.json", {0: row, 1: [1.0, 0.0]})
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\n\ndef model(inputs):\n    return inputs\n\n\ndata = np.eye(3)\n"
    )
    return tmp_path


def run(folder, line, **options):
    return without(folder, [STORE, REPORT], *line.split(), **options)


def test_files_of_the_core_are_inspected_verified_and_converted(folder):
    assert "2 rows x 2 classes" in run(folder, "inspect a.json").stdout
    assert "all 2 rows are distributions" in run(folder, "verify a.json").stdout
    assert "c.json: 2 rows x 2 classes" in run(folder, "convert a.json c.json").stdout
    assert (folder / "c.json").read_bytes() == (folder / "a.json").read_bytes()
    assert "numpy: works" in run(folder, "backends numpy").stdout
    assert "format .json: probly-data-generator " in run(folder, "backends --names").stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("demo", NO_STORE),
        ("generate --backend numpy --model mine:model --data mine:data --out a.fod", "[store]"),
        ("generate --backend numpy --model mine:model --data mine:data --out a.fod --fresh", "[store]"),
        ("convert a.json b.fod", NO_STORE),
        ("inspect b.fod", NO_STORE),
        ("verify b.npz", f"the format .npz is not installed; {GET_STORE}"),
        ("diff a.json b.json", NO_REPORT),
        ("report a.json", NO_REPORT),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_written(folder, line, said):
    before = sorted(folder.iterdir())
    done = run(folder, line, code=2)
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr
    assert "broken" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path for path in sorted(folder.iterdir()) if path.name != "__pycache__"] == before


def test_every_command_has_its_help(folder):
    code = (
        "import sys; from probly_data_generator_command_line import main\n"
        "for name in sys.argv[1].split(): assert main([name, '--help']) == 0, name\n"
        "print([name for name in sys.modules if 'generator_store' in name or 'generator_report' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code, " ".join(OURS)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n[]\n"), "the help needs neither"


def test_without_the_command_line_the_module_says_what_to_install(tmp_path):
    code = (
        "import runpy, sys; sys.modules['probly_data_generator_command_line'] = None\n"
        "runpy.run_module('probly.data_generator', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"the command line is not installed; {install_advice('probly-data-generator[cli]')}\n"


def test_commands_of_the_evaluation_name_what_brings_them(folder):
    done = without(folder, ["probly-data-generator-evaluation"], "rank", "a.json", code=2)
    assert f"rank is not installed; {install_advice('probly-data-generator[evaluation,cli]')}" in done.stderr
