"""What it costs to import the core, to list the backends, and to ask the command line for help."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

IMPORT = """
import time
import numpy
begin = time.perf_counter()
import probly.data_generator
imported = time.perf_counter()
probly.data_generator.list_backends()
print(imported - begin, time.perf_counter() - imported)
"""
LIMITS = {"import, over numpy": 100, "list_backends()": 50, "first-order --help": 300}


def run(times):
    """Return milliseconds of each, one fresh process per measurement; of the command only where it is installed."""
    subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True)  # writes the byte code
    steps = [_steps() for _ in range(times)]
    taken = dict(zip(LIMITS, (*zip(*steps, strict=True), _help(times)), strict=True))
    return [
        {"what": what, "milliseconds": values, "median": statistics.median(values) if values else None, "limit": limit}
        for (what, limit), values in zip(LIMITS.items(), taken.values(), strict=True)
    ]


def _steps():
    done = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
    return [1e3 * float(seconds) for seconds in done.stdout.split()]


def _help(times):
    command = Path(sys.executable).with_name("first-order")
    taken = []
    for _ in range(times if command.exists() else 0):
        begin = time.perf_counter()
        subprocess.run([command, "--help"], check=True, capture_output=True)
        taken.append(1e3 * (time.perf_counter() - begin))
    return taken
