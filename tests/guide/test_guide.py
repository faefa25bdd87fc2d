"""Every code block of the guide runs as one script, with devices substituted, in a process and a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BACKENDS
from tests.guide import contexts
from tests.guide.blocks import GUIDE, read_blocks, restore, with_devices

ROOT = Path(__file__).parents[2]
BLOCKS = read_blocks()
WARNINGS = [  # what frameworks say of this machine or of each other, not of the block
    "ignore:'pin_memory' argument is set as true:UserWarning",  # there is no accelerator to pin memory for
    "ignore:This DataLoader will create:UserWarning",  # there may be fewer cores than the guide's four workers
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",  # Keras saving a variable
]


def wanted(block):
    """Return whether the backends that a block needs are all under test."""
    source = block.source
    needs = {name for name in ("torch", "jax", "tensorflow") if name in source or name[:2] + "." in source}
    return needs <= set(BACKENDS)


@pytest.mark.parametrize("block", list(filter(wanted, BLOCKS)), ids=lambda block: f"{block.number}-{block.heading}")
def test_guide_block(block, tmp_path):
    command = [sys.executable, "-W", "error"]
    for warning in WARNINGS:
        command += ["-W", warning]
    done = subprocess.run(
        [*command, "-m", "tests.guide.run_block", str(block.number)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert f"block {block.number} ran and was checked" in done.stdout, done.stderr[-4000:]


def test_no_block_is_left_out():
    fences = [
        line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.endswith("python") and "```" in line
    ]
    assert len(BLOCKS) == len(fences) == 34
    numbers = sorted(int(name.split("_")[1]) for name in dir(contexts) if name.startswith("block_"))
    assert numbers == list(range(1, 35))
    if set(BACKENDS) >= {"torch", "jax", "tensorflow"}:
        assert all(map(wanted, BLOCKS))


def test_only_devices_are_substituted():
    changed = [
        (before, after)
        for block in BLOCKS
        for before, after in zip(block.source.split("\n"), with_devices(block.source).split("\n"), strict=True)
        if before != after
    ]
    assert changed
    words = ("cuda", "gpu", "GPU", "tpu", "TPU", "Mirrored", "resolver")
    assert all(any(word in before for word in words) for before, _ in changed)


def test_restoring_drops_comments_and_puts_indentation_back():
    mangled = "Comment\n=======\n\nclass A:\n def f(self):\n return 1\n\n def g(self):\n # why\n return 2\n"
    names = {}
    exec(restore(mangled), names)
    assert names["A"]().f() + names["A"]().g() == 3
