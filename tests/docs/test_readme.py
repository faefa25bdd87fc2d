"""README.md is short, and what it says is there; its blocks run in test_pages.py."""

import re
from pathlib import Path

from tests.docs import support

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def test_the_commands_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([\w-]+)", README)) <= targets


def test_the_files_that_it_shows_exist():
    for path in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / path).exists(), path
    assert (ROOT / "docs/images/overview.svg").stat().st_size > 10_000


def test_the_table_is_what_the_tests_have_seen():
    assert support.TABLE.search(README)[0] == support.table(), "python -m tests.docs.support writes the table anew"


def test_a_wrong_table_would_be_noticed():
    assert "| ✓ | ✓ | ✓ | ✓ | ○ |" in support.table()
    assert support.not_possible("sklearn") == {"logits", "bfloat16"}
    assert support.cells("onnx")[2] == support.NO
