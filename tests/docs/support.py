"""The table of README.md: what each backend can do, by its hooks and by what its suite says that it cannot.

``python -m tests.docs.support`` writes it anew. The suites (tests/frameworks) check each hook that a backend has, and
that what they call impossible is refused.
"""

import ast
import importlib
import re
import sys
import tempfile
import tomllib
from pathlib import Path

from probly.data_generator.hookspecs import PROJECT
from tests.conftest import ALL_BACKENDS, FOLDERS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TABLE = re.compile(r"^\| framework \|.*?\n(?=\n)", re.DOTALL | re.MULTILINE)
COLUMNS = (
    "framework",
    "opens files",
    "any function",
    "dropout as members",
    "hidden layers",
    "Bayesian weights",
    "GPU, ...",
)
TITLES = {
    "numpy": "Python, NumPy",
    "torch": "PyTorch",
    "jax": "JAX, Flax, Equinox",
    "tensorflow": "TensorFlow, Keras",
    "onnx": "ONNX Runtime",
    "sklearn": "scikit-learn",
    "transformers": "transformers",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "openvino": "OpenVINO",
    "litert": "LiteRT",
}
SUFFIXES = (
    ".pt", ".pth", ".pt2", ".ts", ".torchscript", ".keras", ".h5", ".hdf5", ".onnx", ".skops", ".xml", ".tflite", ".cbm"
)  # fmt: skip
NO = "\N{EN DASH}"
BEGINNINGS = {".json": b'{"learner":{', ".ubj": b"{L\0\0\0\0\0\0\0\7learner{", ".txt": b"tree\nversion=v4\n"}
"""What a backend is asked for: a file of a model is told by its suffix, and some by how they begin, too."""


OF_FOLDERS = {"transformers": "folders"}
"""What is opened that no suffix names; the tests of the backend open them."""
WRAPPED = ("transformers",)
"""Backends whose suites make a model of each function, because they take no plain one."""


def table():
    """Return the table in Markdown."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(cells, ALL_BACKENDS)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def cells(name):
    """Return the row of a backend."""
    backend, cannot = plugin(name), not_possible(name)
    opened = [suffix for suffix in (*SUFFIXES, *BEGINNINGS) if has(backend, "recognizes") and opens(backend, suffix)]
    devices = backend.choices()["device"] if has(backend, "choices") else ()
    return (
        f"[{TITLES[name]}]({page(name)})",
        " ".join([*(f"`{suffix}`" for suffix in opened), *([OF_FOLDERS[name]] if name in OF_FOLDERS else [])]) or NO,
        sign("functions" not in cannot and name not in WRAPPED),
        sign(has(backend, "stochastic_forward")),
        sign(has(backend, "keep_layers")),
        sign("posterior" not in cannot),
        "○" if any(str(device).lower() != "cpu" for device in devices) or tested_on_devices(name) else NO,
    )


def plugin(name):
    """Return the module of a backend, which imports no framework and need not be installed."""
    project = ROOT / "plugins" / f"{FOLDERS[name]}_backend" if name in FOLDERS else ROOT
    declared = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    sys.path += [
        str(folder) for folder in ROOT.glob("plugins/*") if str(folder) not in sys.path
    ]  # behind the installed
    return importlib.import_module(declared["probly.data_generator.backends"][name])


def has(backend, hook):
    return hasattr(getattr(backend, hook, None), f"{PROJECT}_impl")


def sign(there):
    return "✓" if there else NO


def opens(backend, suffix):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        path.write_bytes(BEGINNINGS.get(suffix, b""))
        return bool(backend.recognizes(path))


def tested_on_devices(name):
    """Return whether the tests of a backend name other devices than the CPU."""
    path = ROOT / "tests" / f"{FOLDERS.get(name, name)}_backend" / "test_devices.py"
    return path.is_file() and "gpu" in path.read_text(encoding="utf-8").lower()


def page(name):
    """Return the how-to page of a backend."""
    return f"docs/frameworks/{'agnostic' if name == 'numpy' else name}.md"


def not_possible(name):
    """Return what the suite of a backend declares in its ``cannot``, without importing the framework."""
    tree = ast.parse((ROOT / "tests" / "frameworks" / f"{name}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(getattr(target, "id", None) == "cannot" for target in node.targets):
            return frozenset(ast.literal_eval(node.value.args[0]))
    return frozenset()


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(TABLE.sub(table(), text), encoding="utf-8")
