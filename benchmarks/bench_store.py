"""The store against a raw file: appending, reading, opening, memory, size, and training from it.

Every figure is a ratio to the same work on a raw file or in memory, measured in turns in the same process.

    python benchmarks/bench_store.py [--folder FOLDER] [--small]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from probly.data_generator import Distributions
from probly.data_generator.store import open_store
from probly_data_generator_store import fod
from probly_data_generator_store.writer import Limits, StoreWriter

BATCH = 256
TARGETS = {
    "append, share of a raw fsynced file": "at least 0.6",
    "single row, microseconds over a memmap's": "at most 3",
    "256 rows, times a memmap's": "at most 2.5",
    "open, milliseconds per 100 shards": "at most 10",
    "peak, MB over the start of the run": "at most 150",
    "epoch, times that from memory": "at most 1.3",
}


def report(name, value, unit=""):
    print(f"{name:60} {value:10.3f}  {TARGETS.get(name, unit)}", flush=True)


def batch(classes):
    return np.random.default_rng(0).dirichlet(np.ones(classes), BATCH).astype(np.float32)


def write_raw(path, rows, values):
    begin = time.perf_counter()
    with path.open("wb") as file:
        for start in range(0, rows, BATCH):
            file.write(values[: rows - start])
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - begin


def write_store(path, rows, values, megabytes=64):
    begin = time.perf_counter()
    with StoreWriter(path, {}, "float32", Limits(megabytes, 30)) as writer:
        writer.begin(values.shape[1], {}, rows=rows, decided=None)
        for start in range(0, rows, BATCH):
            writer.append(start, values[: rows - start])
        writer.finish(rows)
    return time.perf_counter() - begin


def append(folder, rows, classes, turns):
    values, ratios = batch(classes), []
    for turn in range(turns):
        (folder / "raw").unlink(missing_ok=True)
        shutil.rmtree(folder / "a.fod", ignore_errors=True)
        os.sync()
        works = [(write_raw, folder / "raw"), (write_store, folder / "a.fod")]
        # Whoever writes second may find the disk busy with what the first left, so they take turns.
        seconds = {path.name: write(path, rows, values) for write, path in (works if turn % 2 else works[::-1])}
        ratios.append(seconds["raw"] / seconds["a.fod"])
    report("append, share of a raw fsynced file", statistics.median(ratios))
    print(f"    from {min(ratios):.2f} to {max(ratios):.2f}")


def median(function, calls, turns=15):
    times = []
    for _ in range(turns):
        begin = time.perf_counter()
        function()
        times.append((time.perf_counter() - begin) / calls)
    return statistics.median(times) * 1e6


def read(folder, rows, classes):
    random = np.random.default_rng(0)
    raw, store = np.memmap(folder / "raw", np.float32, "r", shape=(rows, classes)), open_store(folder / "a.fod")
    begin = time.perf_counter()
    store.gather(range(0, rows, 1000))
    report("first touch of all shards, with their checksums", time.perf_counter() - begin, "seconds")
    assert np.array_equal(store.gather(range(0, rows, 997)), raw[::997])
    singles, many = random.integers(0, rows, 5000).tolist(), [random.integers(0, rows, 256) for _ in range(400)]
    theirs, ours = (median(lambda source=source: [source[row] for row in singles], 5000) for source in (raw, store))
    report("single row, microseconds over a memmap's", ours - theirs)
    report("single rows per second", 1e6 / ours)
    # As many as an epoch would ask for between two visits to a row: a few rows again and again stay in the processor.
    theirs = median(lambda: [raw[rows] for rows in many], 400)
    ours = median(lambda: [store.gather(rows) for rows in many], 400)
    report("256 rows, times a memmap's", ours / theirs)


def opening(folder):
    write_store(folder / "many.fod", 100 * BATCH, batch(10), megabytes=1e-6)
    report("open, milliseconds per 100 shards", median(lambda: open_store(folder / "many.fod"), 1) / 1e3)


def size(folder):
    values = Distributions(np.tile(batch(1000), (40, 1)))
    for encoding in ("float32", "float16", "top-10", "top-50"):
        fod.write(folder / f"{encoding}.fod", values, {}, encoding)
        total = sum(file.stat().st_size for file in (folder / f"{encoding}.fod").rglob("*") if file.is_file())
        report(f"bytes per row of 1000 classes, {encoding}", total / len(values), "bytes")


def peak():
    return (
        int(
            next(
                line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
            ).split()[1]
        )
        / 1024
    )


def generate(path, rows, classes):
    """In a process of its own: a run of the generator, with the rows' inputs made as they are asked for."""
    from probly.data_generator import FirstOrderDataGenerator

    class Numbers:
        def __len__(self):
            return rows

        def __getitem__(self, index):
            return index

        def __getitems__(self, indices):
            return indices

    values = np.log(np.concatenate([batch(classes)] * 2))
    generator = FirstOrderDataGenerator(
        lambda inputs: values[: len(inputs)], output_mode="logits", batch_size=len(values), backend="numpy"
    )
    before = peak()
    store = generator.generate_distributions(Numbers(), progress=False, out=path)
    after = peak()
    store.gather(np.random.default_rng(0).integers(0, rows, 256))
    print(after - before, peak() - before)


def memory(folder, sizes):
    for rows in sizes:
        command = [sys.executable, __file__, "--generate", folder / "peak.fod", str(rows), "1000"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(f"{rows} x 1000:")
        run, read = map(float, done.stdout.split())
        report("peak, MB over the start of the run", run)
        report("the same after 256 random rows, mapped file pages included", read, "MB")
        shutil.rmtree(folder / "peak.fod")


def training(folder, rows, classes):
    """One epoch of the guide's distillation loop in random order, from the store and from memory."""
    import torch

    from probly.data_generator.torch_first_order_generator import output_dataloader

    store = open_store(folder / "a.fod")
    base = torch.utils.data.TensorDataset(torch.zeros(rows, 32), torch.zeros(rows, dtype=torch.int64))
    student = torch.nn.Linear(32, classes)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)

    def epoch(distributions):
        begin = time.perf_counter()
        for inputs, _, targets in output_dataloader(base, distributions, batch_size=256, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.kl_div(student(inputs).log_softmax(-1), targets, reduction="batchmean").backward()
            optimizer.step()
        return time.perf_counter() - begin

    in_memory = Distributions(np.asarray(store))
    ratios = [epoch(store) / epoch(in_memory) for _ in range(3)]
    report("epoch, times that from memory", statistics.median(ratios))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--small", action="store_true", help="a tenth of the rows")
    parser.add_argument("--generate", nargs=3)
    arguments = parser.parse_args()
    if arguments.generate:
        generate(arguments.generate[0], int(arguments.generate[1]), int(arguments.generate[2]))
        return
    rows = 100_000 if arguments.small else 1_000_000
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        opening(folder)
        size(folder)
        for classes in (1000, 100):
            print(f"{rows} x {classes}:")
            append(folder, rows, classes, turns=4 if classes == 1000 else 8)
            read(folder, rows, classes)
        training(folder, rows, 100)
        (folder / "raw").unlink()
        shutil.rmtree(folder / "a.fod")
        memory(folder, (rows // 100, rows // 10, rows))


if __name__ == "__main__":
    main()
