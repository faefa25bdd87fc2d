"""The guide's performance table: 10,000 samples, 10 classes, batch 64, seconds and memory per framework."""

import importlib
import statistics
import sys
import time

import processes
from rows import Row

# "Results (Approximate)" of the guide, on a GPU, with a model that it does not name: seconds and GB.
GUIDE = {"torch": (12.3, 2.1), "jax": (10.8, 1.9), "tensorflow": (13.5, 2.3), "numpy": (45.2, 0.8)}
MODELS = {"torch": "cnn", "jax": "cnn", "tensorflow": "cnn", "numpy": "linear"}


def run(samples=10_000):
    """Return the table's rows, each framework in a process of its own."""
    return [figures for name in GUIDE for figures in processes.figures_of(__file__, name, samples)]


def main():
    """Be one framework's process: the first run of a new generator, three more, and the peak of memory."""
    send, name, samples = processes.sender(), sys.argv[1], int(sys.argv[2])
    row = Row(name, MODELS[name], "arrays", 64, "memory")
    framework = importlib.import_module(f"frameworks.{name}")
    make = framework.factories(row, samples, 0)["ours"]
    begin = time.perf_counter()
    generate = make()
    rows = generate(None)
    first = time.perf_counter() - begin
    later = []
    for _ in range(3):
        begin = time.perf_counter()
        generate(None)
        later.append(time.perf_counter() - begin)
    assert rows.probabilities.shape == (samples, 10)
    seconds, gigabytes = GUIDE[name]
    send(
        {
            "framework": name,
            "model": row.model,
            "samples": samples,
            "guide": {"seconds": seconds, "gigabytes": gigabytes},
            "first": first,
            "later": statistics.median(later),
            "gigabytes": processes.memory("VmHWM") / 1024,
        }
    )


if __name__ == "__main__":
    main()
