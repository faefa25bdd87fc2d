"""The README's Python blocks run as written, each as one script in a folder of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BACKENDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
IMPORTS = {"torch": "import torch", "jax": "import jax", "tensorflow": "import tensorflow"}


def wanted(block):
    return all(name in BACKENDS for name, line in IMPORTS.items() if line in block)


@pytest.mark.parametrize("block", list(filter(wanted, BLOCKS)), ids=lambda block: block.split("\n")[0])
def test_readme_block(block, tmp_path):
    done = subprocess.run([sys.executable, "-W", "error", "-c", block], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_are_blocks_for_every_framework():
    assert len(BLOCKS) == 8
    assert all(any(line in block for block in BLOCKS) for line in IMPORTS.values())


def test_the_commands_of_the_readme_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([\w-]+)", README)) <= targets


def test_the_files_that_the_readme_shows_exist():
    for path in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / path).exists(), path
    assert (ROOT / "docs/images/digits.png").stat().st_size > 10_000
