"""Without a cluster, Ray is started here, and ends with the run; in a process of its own, as a script does it."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from probly.data_generator.store import open_store
from tests.ray_engine.models import until

SCRIPT = """
import signal
import sys
import numpy as np
from probly.data_generator import FirstOrderDataGenerator

class Model:
    def __init__(self):
        self.weights = np.ones((3, 4))

    def __call__(self, inputs):
        return inputs @ self.weights

inputs = np.random.default_rng(0).normal(size=(64, 3))
generator = FirstOrderDataGenerator(Model(), batch_size=8, output_mode="logits", backend="numpy")
before = signal.getsignal(signal.SIGTERM)
generator.generate_distributions(
    inputs, out="a.fod", shard_rows=8, engine="ray", workers=2, engine_options={"num_cpus": 0.5}, progress=False
)
import ray
assert not ray.is_initialized()
assert signal.getsignal(signal.SIGTERM) is before
"""


def test_a_local_ray(own_ray, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "error", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert np.allclose(open_store(tmp_path / "a.fod").gather(range(64)), 0.25)
    until(lambda: not left_over(tmp_path))


def left_over(folder):
    """Return the processes whose folder it is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder:
                found.append((process / "cmdline").read_text())
        except OSError:  # it has just ended
            continue
    return found
