"""Whether time is linear and memory flat in the number of rows: cheap samples, to a store, with labels and keys."""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import processes

CLASSES = 10
BATCH = 256
CHUNK = 100_000


def run(most):
    """Return the figures of 10,000 rows and each tenfold up to ``most``, each size in a process of its own."""
    sizes = [size for size in (10**power for power in range(4, 9)) if size <= most]
    return [figures for size in sizes for figures in processes.figures_of(__file__, size)]


def write_samples(folder, rows):
    """Return logits, labels and keys as mapped files: they take no memory of the process, like a real large dataset."""
    random = np.random.default_rng(0)
    inputs = np.memmap(folder / "inputs", np.float32, "w+", shape=(rows, CLASSES))
    labels, keys = (np.memmap(folder / name, np.int64, "w+", shape=rows) for name in ("labels", "keys"))
    block = random.normal(size=(CHUNK, CLASSES)).astype(np.float32)
    for start in range(0, rows, CHUNK):
        part = slice(start, min(start + CHUNK, rows))
        inputs[part] = block[: part.stop - start]
        labels[part], keys[part] = np.arange(part.start, part.stop) % CLASSES, np.arange(part.start, part.stop)
    return inputs, labels, keys


def main():
    """Be the process of one size."""
    from probly.data_generator import FirstOrderDataGenerator

    send, rows = processes.sender(), int(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs, labels, keys = write_samples(folder, rows)
        generator = FirstOrderDataGenerator(
            lambda batch: batch, batch_size=BATCH, output_mode="logits", backend="numpy", model_name="identity"
        )
        generator.generate_distributions((inputs[:BATCH], labels[:BATCH]), progress=False, out=folder / "warm.fod")
        before = processes.memory("RssAnon")
        with processes.watched("RssAnon") as peak:
            begin = time.perf_counter()
            store = generator.generate_distributions(
                (inputs, labels), progress=False, out=folder / "rows.fod", keys=keys
            )
            seconds = time.perf_counter() - begin
        last = np.exp(inputs[-1] - inputs[-1].max())
        np.testing.assert_allclose(store[rows - 1], last / last.sum(), rtol=0, atol=1e-6)
        assert len(store) == rows
    send(
        {
            "rows": rows,
            "seconds": seconds,
            "seconds_per_million": seconds / rows * 1e6,
            "peak_anonymous_mb": peak[0],
            "grown_mb": peak[0] - before,
        }
    )


if __name__ == "__main__":
    main()
