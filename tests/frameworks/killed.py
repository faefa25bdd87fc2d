"""Runs with passes that are killed with SIGKILL after some batches, in a process of their own, and continued here."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.store import open_partial, open_store

BATCH_SIZE, KILLED_AT = 5, 12


def generate(model, inputs, path, progress=False):
    """Write a store whose shards end inside of batches, too."""
    generator = FirstOrderDataGenerator(model, batch_size=BATCH_SIZE, output_mode="logits", passes=3, seed=7)
    options = {"out": path, "keep": ["logits"], "shard_megabytes": 0.0002}
    return generator.generate_distributions(inputs, progress=progress, **options)


def die(seen):
    """Kill this process after some rows."""
    if seen.rows >= KILLED_AT:
        os.kill(os.getpid(), signal.SIGKILL)


def check_killed_passes(module, folder):
    """Check that a run that is killed and continued has the bits of one that is not, in another process.

    Args:
        module: The name of one with ``killed_model()`` and ``KILLED_INPUTS``.
        folder: Where the stores are written.
    """
    code = f"from tests.frameworks import killed; killed.start({module!r}, {str(folder / 'killed.fod')!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-4000:]
    here = importlib.import_module(module)
    safe = len(open_partial(folder / "killed.fod"))
    assert 0 < safe < len(here.KILLED_INPUTS)
    model = here.killed_model()
    continued = generate(model, here.KILLED_INPUTS, folder / "killed.fod")
    whole = generate(here.killed_model(), here.KILLED_INPUTS, folder / "whole.fod")
    for store in (continued, open_store(folder / "killed.fod")):
        np.testing.assert_array_equal(np.asarray(store), np.asarray(whole))
        assert sorted(store.columns) == ["logits", "members"]
        for name, column in store.columns.items():
            assert np.asarray(column).tobytes() == np.asarray(whole.columns[name]).tobytes()
    assert len(np.unique(whole.members[0, :, 0])) == 3
    return model


def start(module, path):
    """Run a model of a module until it is killed."""
    here = importlib.import_module(module)
    generate(here.killed_model(), here.KILLED_INPUTS, path, die)
