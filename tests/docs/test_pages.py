"""The blocks of every page run as written, in their order, in a folder of their own, and print what the page shows."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ALL_BACKENDS, BACKENDS
from tests.docs.run_page import read_blocks, written

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LIBRARIES = {
    "tensorflow": ("tensorflow", "keras"),
    "onnx": ("onnxruntime", "onnx", "skl2onnx"),
    "litert": ("ai_edge_litert",),
    "numpy": (),
    "sklearn": (),
}
"""What a page imports if it needs a backend, where that is not its name; scikit-learn is always there."""
WARNINGS = [
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",  # Keras saving a variable
    "ignore:Statistics for quantized inputs were expected:UserWarning",  # TensorFlow's converter, of its own setting
]


def run_elsewhere():
    """Return the pages that a test of their own runs, because they need names that they do not define."""
    named = re.compile(r"docs(?:/|\" / \")([\w.]+\.md)")
    tests = [path.read_text(encoding="utf-8") for path in ROOT.glob("tests/*/test_*.py") if path != Path(__file__)]
    running = [text for text in tests if re.search(r"subprocess|exec\(|run\(", text)]
    return {DOCS / name for text in running for name in named.findall(text)}


def pages():
    """Return the pages that run here."""
    found = [ROOT / "README.md", *sorted(set(DOCS.rglob("*.md")) - run_elsewhere())]
    return [path for path in found if read_blocks(path.read_text(encoding="utf-8"))]


def needs(path):
    """Return the backends whose libraries a page imports."""
    imported = set(re.findall(r"^ *(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    return {name for name in ALL_BACKENDS if imported & set(LIBRARIES.get(name, (name,)))}


@pytest.mark.parametrize(
    "page",
    [path for path in pages() if needs(path) <= set(BACKENDS)],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_a_page_runs_and_prints_what_it_shows(page, tmp_path):
    command = [sys.executable, "-W", "error", *(part for warning in WARNINGS for part in ("-W", warning))]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "OMP_NUM_THREADS": "1"}  # the models are small
    done = subprocess.run(
        [*command, ROOT / "tests/docs/run_page.py", page], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)
    text = page.read_text(encoding="utf-8")
    assert written(text, outputs) == text, f"python tests/docs/run_page.py {page} --write, in an empty folder"
    silent = [
        output for block, output in zip(read_blocks(text), outputs, strict=True) if block[::2] == ("python", None)
    ]
    assert not any(silent), "what a block prints is shown below it, in a block of text"


def test_the_pages_of_every_framework_and_tutorial_run():
    run = {path.relative_to(ROOT).as_posix() for path in pages()}
    assert {"README.md", "docs/index.md", "docs/install.md", "docs/members.md", "docs/tutorials/student.md"} <= run
    assert set().union(*map(needs, pages())) >= {"torch", "jax", "tensorflow", "onnx"}
    assert {path.name for path in run_elsewhere()} >= {"store.md", "evaluation.md", "report.md", "command_line.md"}


def test_another_output_would_be_noticed():
    text = "```python\nprint(1)\n```\n\n```text\n1\n```\n"
    assert written(text, ["1\n"]) == text
    assert written(text, ["2\n"]) != text
