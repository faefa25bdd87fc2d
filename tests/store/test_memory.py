"""What a run to a store holds in memory: one shard, a block and two batches, whatever the number of rows."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEGABYTES = 150
"""What is promised over the start of the run, for 512 rows of 1000 classes at a time and shards of 64 MB."""

RUN = """
    import sys
    import numpy as np
    import probly.data_generator.store
    from probly.data_generator import FirstOrderDataGenerator

    rows, where = int(sys.argv[1]), sys.argv[2]

    class Numbers:
        def __len__(self):
            return rows

        def __getitem__(self, index):
            return index

        def __getitems__(self, indices):
            return indices

    def peak():
        # Not getrusage, whose figure a process inherits from the one that started it.
        return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024

    logits = np.random.default_rng(0).normal(size=(512, 1000)).astype(np.float32)
    options = {"output_mode": "logits", "batch_size": 512, "backend": "numpy"}
    generator = FirstOrderDataGenerator(lambda inputs: logits[: len(inputs)], **options)
    before = peak()
    found = generator.generate_distributions(Numbers(), progress=False, out=None if where == "memory" else where)
    assert len(found) == rows
    print(peak() - before)
"""


def megabytes(rows, where):
    command = [sys.executable, "-c", textwrap.dedent(RUN), str(rows), where]
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("rows", [10_000, 45_000])
def test_a_run_to_a_store_stays_small(disk_path, rows):
    assert 20 < megabytes(rows, str(disk_path / "a.fod")) <= MEGABYTES


def test_a_run_in_memory_would_not():
    assert megabytes(45_000, "memory") > MEGABYTES  # 180 MB of rows: the measure can tell
