"""Every evaluation on many rows of many classes, from mapped files: how long it takes, and what memory beside them.

    python benchmarks/bench_evaluation.py [--rows 1000000] [--classes 1000] [--members 3] [--folder F] [--only NAME]

At its defaults it writes 21 GB to the folder and deletes them. Memory is what the process has of its own, without pages
of mapped files, which the system takes back whenever anybody else needs them.
"""

import argparse
import shutil
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np

from probly.data_generator.store import open_store
from probly_data_generator_evaluation import (
    Balls,
    ConvexHulls,
    FewVotesWarning,
    HumanVotes,
    ProbabilityIntervals,
    calibrate,
    calibration_errors,
    compare_to_humans,
    coverage,
    decompose,
    fit_temperature,
    merge,
    rank,
    rescale,
    sample_labels,
)
from probly_data_generator_store.writer import Limits, StoreWriter

SECONDS, MEGABYTES = 120, 500
DISTINCT = 4096
"""Rows are repeated after so many; making them all would take longer than evaluating them."""
VOTES = 50


def own_memory():
    """Return the process's own memory in MB."""
    status = Path("/proc/self/status")  # of Linux
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), float("nan"))


class Peak:
    """The most memory while a block runs, looked at every 10 ms."""

    def __enter__(self):
        self.most, self._stop = own_memory(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._stop.wait(0.01):
            self.most = max(self.most, own_memory())

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()


def write(folder, rows, classes, members):
    """Write rows as a store, members, and votes, and return them mapped."""
    random = np.random.default_rng(0)
    distinct = random.dirichlet(np.full(classes, 0.1), DISTINCT)
    with StoreWriter(folder / "rows.fod", {}, "float32", Limits(64, 60)) as writer:
        block = (0.999 * distinct + 0.001 / classes).astype(np.float32)
        writer.begin(classes, {}, rows=rows, decided=None)
        for start in range(0, rows, DISTINCT):
            writer.append(start, block[: rows - start])
        writer.finish(rows)
    shape = (rows, members, classes)
    values = np.lib.format.open_memmap(folder / "members.npy", "w+", np.float32, shape)
    counts = np.lib.format.open_memmap(folder / "counts.npy", "w+", np.uint8, (rows, classes))
    noise = random.dirichlet(np.full(classes, 0.1), (members, DISTINCT))
    block = (0.7 * distinct[:, None] + 0.3 * noise.swapaxes(0, 1)).astype(np.float32)
    votes = sample_labels(distinct, n=VOTES, counts=True)
    for start in range(0, rows, DISTINCT):
        values[start : start + DISTINCT] = block[: rows - start]
        counts[start : start + DISTINCT] = votes[: rows - start]
    del values, counts
    mapped = (np.load(folder / name, mmap_mode="r") for name in ("members.npy", "counts.npy"))
    return open_store(folder / "rows.fod"), *mapped


def evaluations(folder, rows, members, counts):
    """Yield each evaluation by name; what is as large as the rows is written to a file."""
    shape = (len(rows), rows.num_classes)
    out = np.lib.format.open_memmap(folder / "out.npy", "w+", np.float32, shape)
    votes = HumanVotes(counts)
    labels = sample_labels(rows, seed=1)[:, 0]
    middle = rescale(rows, 1.1, out=out)
    yield "decompose", lambda: decompose(members)
    yield "sample_labels, 10 of each", lambda: sample_labels(rows, n=10)
    yield "intervals", lambda: coverage(ProbabilityIntervals(members), middle)
    yield "hulls", lambda: coverage(ConvexHulls(members), members[:, 0])
    yield "balls", lambda: coverage(Balls.from_members(members), middle)
    yield "coverage against votes", lambda: coverage(Balls(rows, 0.2), votes)
    yield "HumanVotes", lambda: HumanVotes(counts)
    yield "compare_to_humans", lambda: compare_to_humans(rows, votes).summary()
    yield "fit_temperature, labels", lambda: fit_temperature(rows, labels)
    yield "calibrate, votes", lambda: calibrate(rows, by=votes)
    yield "rescale", lambda: rescale(rows, 2.0, out=out)
    yield "calibration_errors", lambda: calibration_errors(rows, labels)
    yield "rank, entropy", lambda: rank(rows)
    yield "rank, mutual_information", lambda: rank(members, "mutual_information")
    yield "merge, 1 run", lambda: merge([rows], out=out)


def main(arguments=None):
    """Write the files, measure, print, and delete the files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", default="", help="what the names of the evaluations contain")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", FewVotesWarning)
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        begin = time.perf_counter()
        files = write(folder, options.rows, options.classes, options.members)
        print(f"{options.rows} rows, {options.classes} classes, {options.members} members, written in "
              f"{time.perf_counter() - begin:.0f} s; aim: at most {SECONDS} s and {MEGABYTES} MB")  # fmt: skip
        print(f"{'evaluation':30} {'seconds':>8} {'of CPUs':>8} {'MB':>8}")
        for name, evaluate in evaluations(folder, *files):
            if options.only not in name:
                continue
            before, begin, computed = own_memory(), time.perf_counter(), time.process_time()
            with Peak() as peak:
                evaluate()
            seconds = time.perf_counter() - begin, time.process_time() - computed
            print(f"{name:30} {seconds[0]:8.1f} {seconds[1]:8.1f} {peak.most - before:8.0f}", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
