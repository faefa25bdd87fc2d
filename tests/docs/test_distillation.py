"""docs/distillation.md and docs/distillation_keras.md run as written, and print what they show."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BACKENDS

ROOT = Path(__file__).parents[2]
PAGES = {"torch": "docs/distillation.md", "tensorflow": "docs/distillation_keras.md"}
SAID_BY_LIBRARIES = [
    "ignore:The 'train_dataloader' does not have many workers:UserWarning",  # the page has none, for so few samples
    "ignore:`isinstance(treespec, LeafSpec)` is deprecated:FutureWarning",  # between Lightning and torch
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",  # Keras saving a variable
]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("backend", [name for name in PAGES if name in BACKENDS])
def test_a_page_runs_and_prints_what_it_shows(backend, tmp_path):
    text = (ROOT / PAGES[backend]).read_text(encoding="utf-8")
    code = "\n".join(blocks(text, "python"))
    ignored = [word for warning in SAID_BY_LIBRARIES for word in ("-W", warning)]
    command = [sys.executable, "-W", "error", *ignored, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(blocks(text, "text"))
