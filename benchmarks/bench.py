"""Our runs against loops written by hand; README.md beside this file tells how to read the figures.

python benchmarks/bench.py                                     # everything
python benchmarks/bench.py --quick                             # fewer rows, samples and rounds
python benchmarks/bench.py --only torch/cnn/arrays/64/memory   # one row; patterns such as 'jax/*' work, too
python benchmarks/bench.py --scaling --startup                 # some parts
"""

import argparse
import os
from pathlib import Path

import chart
import formats
import guide
import measure
import report
import results
import scaling
import startup
from rows import chosen_rows

# What --quick makes of the defaults: enough to see that everything runs, too little to judge by.
FULL = {"rounds": None, "samples": None, "most_rows": 10_000_000, "starts": 15, "saved_rows": 200_000}
QUICK = {"rounds": 3, "samples": 2_000, "most_rows": 100_000, "starts": 3, "saved_rows": 20_000}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="ROW", help="framework/model/data/batch/sink; implies --rows")
    for part in report.TABLES:
        parser.add_argument(f"--{part}", action="store_true", help=f"{results.TITLES[part].lower()}")
    parser.add_argument("--quick", action="store_true", help="fewer rows, samples and rounds")
    parser.add_argument("--rounds", type=int, help="rounds per row; by default at least seven")
    parser.add_argument("--samples", type=int, help="samples per row; by default 10,000, fewer where each takes long")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count()), help="of loaders")
    parser.add_argument("--output", type=Path, default=Path("bench_output"), help="the folder of results.json")
    parser.add_argument("--write-results", action="store_true", help="write benchmarks/RESULTS.md")
    return parser.parse_args()


def measured_parts(given):
    """Yield the name of each part that is asked for, and its figures; all parts if none is named."""
    named = [part for part in report.TABLES if getattr(given, part)] + ["rows"] * bool(given.only)
    sizes = QUICK if given.quick else FULL
    settings = {}
    parts = {
        "rows": lambda: measured_rows(given, sizes, settings),
        "guide": lambda: guide.run(given.samples or sizes["samples"] or 10_000),
        "scaling": lambda: scaling.run(sizes["most_rows"]),
        "startup": lambda: startup.run(sizes["starts"]),
        "formats": lambda: formats.run(sizes["saved_rows"], sizes["rounds"]),
    }
    for part, work in parts.items():
        if part in named or not named:
            yield {part: work(), "settings": settings}


def measured_rows(given, sizes, settings):
    """Return the figures of all chosen rows; each says how it went as soon as it is done."""
    rows = chosen_rows(given.only, quick=given.quick)
    options = {
        "rounds": given.rounds or sizes["rounds"],
        "samples": given.samples or sizes["samples"],
        "workers": given.workers,
    }
    found = []

    def done(figures):
        found.append(figures)
        cells = report.rows_table([figures])[1][0]
        print(f"{len(found)} of {len(rows)}: {'  '.join(cells)}", flush=True)

    settings.update(measure.in_own_processes(rows, options, done))
    return found


def main():
    given = arguments()
    path = given.output / "results.json"
    for new in measured_parts(given):
        part = next(iter(new))
        print(f"\n{results.TITLES[part]}\n{report.as_text(*report.TABLES[part](new[part]))}\n", flush=True)
        found = results.merged(results.load(path), {**new, "machine": results.machine()})
        results.save(path, found)
    if found["rows"]:
        chart.draw(found["rows"], given.output / "chart.png")
    if given.write_results:
        results.write_page(found)
        print(f"wrote {results.PAGE}")
    print(f"wrote {path}" + (f" and {given.output / 'chart.png'}" if found["rows"] else ""))


if __name__ == "__main__":
    main()
