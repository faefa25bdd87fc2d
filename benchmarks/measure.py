"""One comparison from its name to its figures; and one process per framework, so that none disturbs another."""

import importlib
import json
import statistics
import sys
import time

import timing
from processes import figures_of, sender
from rows import Row

OURS = ("ours", "ours in memory")


def samples_of(row):
    """Return how many samples a row runs over: 10,000 as in the guide, fewer where each takes long."""
    if row.model == "resnet":
        return 256
    return {"arrays": 10_000, "images": 4_000, "loader": 2_000}[row.data]


def _factories(row, samples, workers):
    return importlib.import_module(f"frameworks.{row.framework}").factories(row, samples, workers)


def made(factories):
    """Return the contestants by name, and what became of peers that are not installed or broken."""
    contestants, missing = {}, {}
    for name, factory in factories.items():
        try:
            contestants[name] = factory()
        except Exception as error:
            if name in ("hand", *OURS):
                raise
            absent = isinstance(error, ModuleNotFoundError)
            missing[name] = f"{error.name} is not installed" if absent else f"{type(error).__name__}: {error}"
    return contestants, missing


def first_runs(row, samples, rounds):
    """Return the seconds of first runs, each in a new process: in the same one, nothing would be compiled again."""
    taken = {"hand": [], "ours": []}
    for turn in range(rounds):
        for name in sorted(taken, reverse=turn % 2 == 1):
            task = {"first": name, "row": row, "samples": samples}
            taken[name] += figures_of(__file__, json.dumps(task))
    return taken


def first_run(row, name, samples):
    """Return the seconds that a contestant takes from nothing but its model and its samples."""
    factory = _factories(row, samples, workers=0)[name]
    begin = time.perf_counter()
    factory()(None)
    return time.perf_counter() - begin


def medians_of(taken):
    """Return the median of each contestant's seconds."""
    return {name: statistics.median(times) for name, times in taken.items()}


def microseconds(row, samples, ours, base):
    """Return what we add to a batch beyond the base: the median over the rounds, in microseconds."""
    batches = -(-samples // row.batch)
    rounds = zip(ours, base, strict=False)
    return statistics.median(1e6 * (mine - its) / batches for mine, its in rounds)


def measure(row, samples=None, rounds=None, seconds=60.0, workers=2):
    """Return the figures of a row; contestants that are not installed say so."""
    number, missing = samples or samples_of(row), {}
    if row.sink == "first":
        taken = first_runs(row, number, rounds or timing.LEAST_ROUNDS)
    else:
        contestants, missing = made(_factories(row, number, workers))
        # The verdict is between these two alone.
        taken = timing.interleaved(contestants, rounds, seconds, lambda so_far: [row.base(medians_of(so_far)), "ours"])
    medians = medians_of(taken)
    base = row.base({name: median for name, median in medians.items() if len(taken[name]) == len(taken["ours"])})
    return {
        "row": row.name,
        "samples": number,
        "rounds": len(taken["ours"]),
        "base": base,
        "limit": row.limit if number >= samples_of(row) else None,  # a short run is mostly its start
        "microseconds": microseconds(row, number, taken["ours"], taken[base]),
        "limit_microseconds": row.limit_microseconds,
        "date": time.strftime("%Y-%m-%d"),
        "contestants": {
            name: {"seconds": times, "median": medians[name], "ratio": timing.ratio(times, taken[base])}
            for name, times in taken.items()
        },
        "missing": missing,
    }


def in_own_processes(rows, options, on_result):
    """Measure rows, all of one framework in one process of its own.

    Args:
        rows: The comparisons.
        options: Keyword arguments of ``measure``.
        on_result: Called with the figures of each row, as they come.

    Returns:
        The settings of each framework's process.
    """
    settings = {}
    for framework in dict.fromkeys(row.framework for row in rows):
        task = {"rows": [row for row in rows if row.framework == framework], "options": options}
        for found in figures_of(__file__, json.dumps(task)):
            if "row" in found:
                on_result(found)
            else:
                settings[framework] = found
    return settings


def main():
    """Be the process of one framework, or of one first run."""
    send, task = sender(), json.loads(sys.argv[1])
    if "first" in task:
        send(first_run(Row(*task["row"]), task["first"], task["samples"]))
        return
    for row in task["rows"]:
        send(measure(Row(*row), **task["options"]))
    send(importlib.import_module(f"frameworks.{row[0]}").settings())


if __name__ == "__main__":
    main()
