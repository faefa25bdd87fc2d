"""What a batch frees is not given back to the system, only to be taken again for the next one."""

import platform
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import resource, sys
    import numpy as np
    from probly.data_generator import FirstOrderDataGenerator

    def network(inputs):
        layers = [np.ones(3 << 17) for _ in range(5)]  # 3 MiB each, all of them alive at the end of the batch
        return np.full((len(inputs), 2), 0.5 * layers[-1][0])

    def pages():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            network(np.zeros((1, 1)))
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    network(np.zeros((1, 1)))
    if sys.argv[1] == "ours":
        generator = FirstOrderDataGenerator(network, output_mode="probs", backend="numpy")
        generator.generate_distributions(np.zeros((3, 1)), progress=False)
    print(pages())
"""


def taken(who):
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), who]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries decide otherwise")
def test_memory_stays_for_the_next_batch(monkeypatch):
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD"):
        monkeypatch.delenv(name, raising=False)
    assert taken("nobody") > 20_000
    assert taken("ours") < 5_000
