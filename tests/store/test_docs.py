"""What the documents of the store show runs as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.store import stores

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["plugins/store/README.md", "docs/store.md"])
def test_the_examples_run(document, tmp_path, monkeypatch):
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 1
    monkeypatch.chdir(tmp_path)
    inputs = np.random.default_rng(0).normal(size=(1000, stores.CLASSES)).astype(np.float32)
    names = {"__name__": "example", "model": stores.Linear(), "dataset": (inputs, np.arange(1000) % 3)}
    exec(compile(blocks[0], document, "exec"), names)
    teacher = names["teacher"]
    assert teacher.complete
    assert len(teacher) == 1000
    assert (tmp_path / "teacher.fod" / "manifest.json").exists()
    if document.startswith("docs"):
        assert sum(len(batch[2]) for batch in names["loader"]) == 1000
