"""The core names no framework: not in code, not in a comment, not in a docstring, not in a page that it writes."""

import re
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "core"
PROMISED = {"torch_first_order_generator.py", "jax_first_order_generator.py", "tensorflow_generator.py"}
"""The import paths that users were promised: what they are there for is to give a framework's names."""

# Underscores and digits end a word here, so that identifiers are read, too; "utf" and "relax" are none of these.
WORDS = re.compile(
    "torch|jax|(?<![a-z])jnp(?![a-z])|flax|equinox|haiku|tensorflow|(?<![a-z])tf(?![a-z])|keras|onnx|sklearn|scikit|"
    "skops|xgboost|lightgbm|catboost|mxnet|paddle|mindspore|tinygrad|mlx|cupy|lightning|transformers|"
    "openvino|litert|tflite",
    re.IGNORECASE,
)
FILES = sorted(
    file for file in CORE.rglob("*") if file.is_file() and file.name not in PROMISED and "__pycache__" not in file.parts
)


def frameworks_named(text):
    """Return "line: word" for every framework that a text names."""
    lines = enumerate(text.splitlines(), start=1)
    return [f"{number}: {match[0]}" for number, line in lines for match in WORDS.finditer(line)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CORE / "probly" / "data_generator")))
def test_no_framework_is_named(file):
    assert frameworks_named(file.read_text(encoding="utf-8")) == []


def test_only_the_promised_modules_are_called_like_a_framework():
    paths = [path for path in CORE.rglob("*") if "__pycache__" not in path.parts]
    assert {path.name for path in paths if WORDS.search(path.name)} == PROMISED


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import torch\n", ["1: torch"]),
        ("x = 1  # as in PyTorch\n", ["1: Torch"]),
        ('"""Summary.\n\nWorks with JAX.\n"""\n', ["3: JAX"]),
        ("def from_keras_model():\n    pass\n", ["1: keras"]),
        ("import probly_data_generator_torch\n", ["1: torch"]),
        ('name = f"{kind} of tf.data"\n', ["1: tf"]),
        ("a = 'scikit-learn', 'sklearn'\n", ["1: scikit", "1: sklearn"]),
        ("text.encode('utf-8')  # relaxed, tensors\n", []),
    ],
)
def test_what_is_found(text, found):
    assert frameworks_named(text) == found


def test_all_of_the_core_is_read():
    assert {"hookspecs.py", "generator.py", "backend.py", "listing.py"} <= {file.name for file in FILES}
    for name in PROMISED:
        assert frameworks_named((CORE / "probly" / "data_generator" / name).read_text(encoding="utf-8"))
