"""The tests of what needs no framework, on other versions of Python: `make test-pythons PYTHONS="3.12 3.13"`.

Each version has an environment of its own, .venv-VERSION, with the wheels in dist/ and what constraints/core.txt pins.
Without a version they run in the environment of this Python, as it is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("", "_store", "_report", "_evaluation", "_command_line")
ROOMS = ("core", "formats", "numpy_backend", "store")
WITH_FRAMEWORKS = (
    "tests/core/test_any_samples.py",
    "tests/store/test_frameworks.py",
    "tests/store/test_kept.py::test_every_format_keeps_columns[.pt]",
    "tests/store/test_kept.py::test_no_rows_of_some_classes_are_kept_by_every_format[.pt]",
)
"""What needs a framework, and is tested with the one Python that has them all."""


def interpreter(version):
    """Return the path of a Python, from pyenv or from the PATH.

    Raises:
        FileNotFoundError: There is none.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [*sorted(root.glob(f"versions/{version}*/bin/python"), reverse=True), shutil.which(f"python{version}")]
    for python in filter(None, found):  # pyenv puts names on the path that it then refuses to run
        code = "import sys; print(*sys.version_info[:2], sep='.')"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True)
        if done.stdout.strip() == version:
            return python
    message = f"Python {version} is not here: install it, with `pyenv install {version}` for one, or leave it out"
    raise FileNotFoundError(message)


def environment(version):
    """Make or renew the environment of a version, and return its Python."""
    folder = ROOT / f".venv-{version}"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        subprocess.run([interpreter(version), "-m", "venv", "--clear", folder], check=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "-r", ROOT / "constraints" / "core.txt"], check=True)
    (folder / "made").touch()
    wheels = [next((ROOT / "dist").glob(f"probly_data_generator{name}-*.whl")) for name in OURS]
    subprocess.run([*pip, "--force-reinstall", "--no-deps", "--no-index", *wheels], check=True)
    return python


def main(versions):
    """Run the tests, and return how they ended."""
    ended = 0
    for version in versions or [None]:
        python = sys.executable if version is None else environment(version)
        print(f"Python {version or sys.version}", flush=True)
        variables = {**os.environ, "BACKENDS": "numpy", "WHEELS": str(ROOT / "dist")}
        without = [f"--{'deselect' if '::' in name else 'ignore'}={name}" for name in WITH_FRAMEWORKS]
        command = [python, "-m", "pytest", "-q", *without, *(f"tests/{room}" for room in ROOMS)]
        ended |= subprocess.run(command, cwd=ROOT, env=variables).returncode
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
