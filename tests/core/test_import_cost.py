"""What a start imports; counted in modules, since seconds depend on the machine (the benchmark measures those)."""

import json
import subprocess
import sys

import pytest

# The core's dependencies and what importlib-metadata itself brings along.
LIGHT = {
    "importlib_metadata",
    "lazy_importer",
    "numpy",
    "pluggy",
    "probly",
    "probly_data_generator_command_line",
    "tqdm",
    "typing_extensions",
    "zipp",
}
# Parts of the standard library that take as long as all of ours.
SLOW = {"asyncio", "concurrent", "http", "multiprocessing", "sqlite3", "ssl", "tkinter", "unittest", "xml"}

IMPORT = "import probly.data_generator"
LIST = f"{IMPORT}; probly.data_generator.list_backends()"
HELP = """
from probly_data_generator_command_line import main
try:
    main(["--help"])
except SystemExit as end:
    assert end.code in (0, None), end.code
"""


def imported_by(code):
    """Return the top-level names of the modules that a fresh interpreter imports for some code."""
    report = "import json, sys; print(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; before = set(sys.modules)\n{code}\n{report}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def unexpected(names, also=()):
    """Return the modules that a start has no use for."""
    foreign = {name for name in names if name not in sys.stdlib_module_names}
    return (foreign - LIGHT - set(also)) | (names & SLOW)


@pytest.mark.parametrize("code", [IMPORT, LIST], ids=["import", "listing"])
def test_importing_and_listing_import_nothing_heavy(code):
    assert unexpected(imported_by(code)) == set()


def test_listing_imports_nothing_that_only_loading_needs():
    """Reading METADATA as mail would import more than the rest of a listing does."""
    code = f"import sys; {LIST}; sys.exit(str(sorted({{'pluggy', 'email.parser'}} & set(sys.modules))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


def test_asking_the_command_for_help_imports_nothing_heavy():
    assert unexpected(imported_by(HELP), also={"click"}) == set()


def test_a_heavy_import_would_be_seen():
    assert "sklearn" in unexpected(imported_by(f"{LIST}; import sklearn"))
    assert unexpected(imported_by(f"{IMPORT}; import asyncio")) >= {"asyncio"}
    assert "torch" in unexpected({"numpy", "torch", "json"})
