"""Workers that share a store: how long they take to start, what a shard costs, and how they scale.

    python benchmarks/bench_workers.py [--engines processes ray] [--workers 1 2 4 8] [--shards 20] [--seconds 1]
                                       [--write-results]

The clock of a run starts when the last worker has begun, since each waits for the others in its first batch, and ends
with the last receipt; each worker has as many shards, whatever their number. A model that sleeps shows what sharing
costs, where cores do not limit it. One that computes, in one thread, shows what the cores give.
"""

import argparse
import datetime as dt
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from probly.data_generator import FirstOrderDataGenerator

PAGE = Path(__file__).with_name("RESULTS.md")
HEADING = "## Many workers\n"
BATCH, CLASSES = 64, 10
OPTIONS = {"processes": None, "ray": {"num_cpus": 0.125}}
"""So that more workers than cores find room."""
OF_A_RUN = 200
"""The shards that the cost of one is measured with."""
COMPUTING, TURNS = 0.1, 3


class Model:
    """Waits in its first batch until all workers have begun; then each batch takes so many seconds."""

    def __init__(self, folder, workers, seconds, computes):
        self.folder, self.workers, self.seconds, self.computes = str(folder), workers, seconds, computes
        self.met = False

    def __call__(self, inputs):
        if not self.met:
            (Path(self.folder) / str(os.getpid())).touch()
            while len(os.listdir(self.folder)) < self.workers:
                time.sleep(0.01)
            self.met = True
        elif self.computes:
            compute(self.seconds)
        else:
            time.sleep(self.seconds)
        return inputs


def compute(seconds):
    """Compute what took so long on a core of its own when the script began."""
    values = np.ones((64, 64), np.float32)
    for _ in range(int(seconds * compute.per_second)):
        values = values @ values * 0.001


def calibrate():
    """Find how much a core computes in a second."""
    compute.per_second = 20_000
    start = time.process_time()
    compute(1)
    return int(20_000 / (time.process_time() - start))


def run(engine, workers, shards, seconds, *, computes=False):
    """Return the seconds until all workers had begun, and those from then on."""
    inputs = np.random.default_rng(0).normal(size=(workers * shards * BATCH, CLASSES)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        met = Path(folder) / "met"
        met.mkdir()
        model = Model(met, workers, seconds, computes)
        generator = FirstOrderDataGenerator(model, output_mode="logits", backend="numpy", batch_size=BATCH)
        heard = []
        sharing = {"engine": engine, "workers": workers, "engine_options": OPTIONS.get(engine)} if engine else {}
        start = time.time()
        generator.generate_distributions(
            inputs, out=Path(folder) / "a.fod", shard_rows=BATCH, progress=lambda now: heard.append(time.time()),
            **sharing,
        )  # fmt: skip
        begun = max(path.stat().st_mtime for path in met.iterdir())
        return begun - start, heard[workers * shards - 1] - begun


def start_of_ray():
    """Return the seconds that Ray takes to start on this machine."""
    from probly_data_generator_ray.cluster import connected

    start = time.time()
    with connected(None):
        return time.time() - start


def measured(arguments):
    """Yield the lines of the results, as they come."""
    yield "| engine | model | workers | start-up, s | shards each | s | as with one |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for engine in arguments.engines:
        found = {count: run(engine, count, arguments.shards, arguments.seconds) for count in arguments.workers}
        yield from rows(engine, f"sleeps {arguments.seconds:g} s", arguments.shards, found)
        # Whoever else is at work takes from one run more than from the next; in turns, the least of each is compared.
        turns = [(count, run(engine, count, arguments.shards, COMPUTING, computes=True)) for count in [1, 2] * TURNS]
        least = {
            count: min((took for one, took in turns if one == count), key=lambda took: took[1]) for count in (1, 2)
        }
        yield from rows(engine, f"computes {COMPUTING:g} s", arguments.shards, least)
    yield ""
    costs = {}
    for engine in [None, *arguments.engines]:
        costs[engine or "no engine"] = min(run(engine, 1, OF_A_RUN, 0)[1] for _ in range(TURNS)) / OF_A_RUN
    yield "A shard, computed in no time: " + ", ".join(f"{name} {1000 * cost:.1f} ms" for name, cost in costs.items())
    if "ray" in arguments.engines:
        yield f"Ray alone starts in {min(start_of_ray() for _ in range(TURNS)):.1f} s."


def rows(engine, kind, shards, found):
    """Yield a line for each number of workers."""
    first = found[min(found)][1]
    for workers, (begun, took) in found.items():
        yield f"| {engine} | {kind} | {workers} | {begun:.1f} | {shards} | {took:.1f} | {first / took:.3f} |"


def main():
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--engines", nargs="+", default=list(OPTIONS))
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--write-results", action="store_true", help="write the section of benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    about = (
        "Written by `python benchmarks/bench_workers.py --write-results`, which says how it measures. Each worker has "
        "as many shards, whatever their number, so *as with one* is 1 where sharing costs nothing."
    )
    machine = (
        f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}; load average before: {os.getloadavg()[0]:.1f}"
    )
    lines = [about, "", machine, ""]
    for line in measured(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.write_results:
        before = PAGE.read_text().partition(HEADING)[0].rstrip()
        PAGE.write_text(f"{before}\n\n{HEADING}\n" + "\n".join(lines) + "\n")


os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes to come
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
compute.per_second = int(os.environ.setdefault("BENCH_PER_SECOND", str(calibrate())))

if __name__ == "__main__":
    main()
