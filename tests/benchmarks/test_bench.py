"""The benchmark measures what it says; how long anything takes is no matter of tests."""

import collections
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BENCH = BENCHMARKS / "bench.py"


def bench(*arguments):
    """Run the benchmark's command line."""
    return subprocess.run([sys.executable, BENCH, *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Run two tiny rows, one of them to a store."""
    folder = tmp_path_factory.mktemp("bench")
    rows = ("numpy/linear/arrays/64/memory", "numpy/linear/arrays/64/store")
    done = bench("--only", *rows, "--samples", 130, "--rounds", 3, "--output", folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def figures(folder):
    return json.loads((folder / "results.json").read_text())


def test_a_row_has_every_contestant_in_every_round(measured):
    memory, store = figures(measured[0])["rows"]
    assert (memory["row"], memory["samples"], memory["rounds"]) == ("numpy/linear/arrays/64/memory", 130, 3)
    assert (memory["base"], set(memory["contestants"])) == ("hand", {"hand", "ours"})
    assert (store["base"], set(store["contestants"])) == ("ours in memory", {"hand", "ours in memory", "ours"})
    for contestant in (*memory["contestants"].values(), *store["contestants"].values()):
        assert len(contestant["seconds"]) == 3
        assert min(contestant["seconds"]) > 0


def test_the_ratio_is_the_median_over_the_rounds(measured):
    for row in figures(measured[0])["rows"]:
        base = np.array(row["contestants"][row["base"]]["seconds"])
        for contestant in row["contestants"].values():
            ratios = np.array(contestant["seconds"]) / base
            expected = {"median": np.median(ratios), "low": ratios.min(), "high": ratios.max()}
            assert contestant["ratio"] == pytest.approx(expected)


def test_the_table_the_chart_and_the_machine_are_there(measured):
    folder, printed = measured
    assert [line.split()[:2] for line in printed.splitlines() if line.startswith("numpy/")] == [
        ["numpy/linear/arrays/64/memory", "hand"],
        ["numpy/linear/arrays/64/store", "ours"],
    ]
    assert "met" not in printed.lower(), "so few samples are nothing to judge by"
    assert (folder / "chart.png").read_bytes().startswith(b"\x89PNG")
    found = figures(folder)
    assert found["machine"]["cores"] >= 1
    assert found["settings"]["numpy"]["numpy"] == found["machine"]["versions"]["numpy"] == np.__version__


def test_a_row_measured_again_replaces_itself_only(measured):
    folder, _ = measured
    before = figures(folder)["rows"]
    done = bench("--only", before[0]["row"], "--samples", 70, "--rounds", 1, "--output", folder)
    assert done.returncode == 0, done.stderr
    after = figures(folder)["rows"]
    assert (after[0]["samples"], after[1]) == (70, before[1])


def test_first_runs_are_measured_for_both_sides(tmp_path):
    row = "numpy/linear/arrays/64/first"
    done = bench("--only", row, "--samples", 70, "--rounds", 2, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    (found,) = figures(tmp_path)["rows"]
    assert {name: len(values["seconds"]) for name, values in found["contestants"].items()} == {"hand": 2, "ours": 2}


def test_a_name_that_fits_no_row_is_refused():
    done = bench("--only", "numpy/linear/arrays/63/memory")
    assert done.returncode == 1
    assert "no row fits 'numpy/linear/arrays/63/memory'" in done.stderr


@pytest.fixture
def timing(monkeypatch):
    """Return the module that takes the times."""
    return from_benchmarks("timing", monkeypatch)


def from_benchmarks(name, monkeypatch):
    """Import a module of the benchmark, and forget it again: its name is short."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    module = importlib.import_module(name)
    for new in set(sys.modules) - before:
        if str(getattr(sys.modules[new], "__file__", None)).startswith(str(BENCHMARKS)):
            del sys.modules[new]
    return module


@pytest.mark.parametrize(
    ("low", "median", "high", "said"),
    [
        (1.0, 1.02, 1.054, "met"),
        (1.02, 1.054, 1.06, "met?"),
        (1.0, 1.056, 1.1, "MISSED?"),
        (1.054, 1.056, 1.1, "MISSED?"),
        (1.056, 1.06, 1.1, "MISSED"),
    ],
)
def test_a_target_is_met_up_to_the_second_decimal(measured, monkeypatch, low, median, high, said):
    row = figures(measured[0])["rows"][0]
    row["microseconds"], row["limit_microseconds"] = 0.4, None
    row["limit"], row["contestants"]["ours"]["ratio"] = 1.05, {"median": median, "low": low, "high": high}
    report = from_benchmarks("report", monkeypatch)
    assert f"{low:.2f}..{high:.2f} | 0 | <= 1.05 {said} |" in report.as_markdown(*report.rows_table([row]))


@pytest.mark.parametrize(("added", "said"), [(12.3, "12 | <= 60 met"), (61.0, "61 | <= 60 MISSED")])
def test_what_a_linear_model_is_judged_by_is_microseconds_a_batch(measured, monkeypatch, added, said):
    row = figures(measured[0])["rows"][0]
    row["microseconds"], row["limit_microseconds"] = added, 60
    report = from_benchmarks("report", monkeypatch)
    assert f"| {said} |" in report.as_markdown(*report.rows_table([row]))
    measure = from_benchmarks("measure", monkeypatch)
    rows = from_benchmarks("rows", monkeypatch)
    assert (
        measure.microseconds(rows.Row("numpy", "linear", "arrays", 64, "memory"), 129, [0.4, 0.7], [0.1, 0.1])
        == 150_000
    )


@pytest.mark.parametrize("number", [1, 2, 5, 6, 7, 20, 41])
def test_the_interval_holds_the_median_of_95_in_100_samples(timing, number):
    samples = np.random.default_rng(0).standard_exponential((2000, number))
    low, high = np.transpose([timing.interval(sample.tolist()) for sample in samples])
    held = np.mean((low <= np.log(2)) & (np.log(2) <= high))
    if number < 6:
        np.testing.assert_array_equal([low, high], [samples.min(axis=1), samples.max(axis=1)])
    else:
        assert held > 0.94


def test_the_interval_is_the_narrowest_of_that_confidence(timing):
    found = [timing.interval(range(number)) for number in (6, 8, 9, 20, 41)]
    assert found == [(0, 5), (0, 7), (1, 7), (5, 14), (13, 27)]  # as in tables of the sign test


def test_contestants_that_disagree_are_not_compared(timing):
    rows = np.full((4, 2), 0.5, np.float32)
    shifted = rows + np.float32(1e-3) * np.array([1, -1], np.float32)
    with pytest.raises(AssertionError, match="ours against hand"):
        timing.interleaved({"hand": lambda folder: rows, "ours": lambda folder: shifted}, rounds=1)


@pytest.mark.parametrize("names", ["ab", "abc", "abcd", "abcdef"])
def test_contestants_take_turns_and_each_finds_an_empty_folder(timing, names):
    order = []

    def contestant(name):
        def run(folder):
            assert list(folder.iterdir()) == []
            (folder / "left behind").touch()
            order.append(name)
            return np.ones((1, 1))

        return run

    taken = timing.interleaved({name: contestant(name) for name in names}, rounds=4 * len(names))
    assert [len(times) for times in taken.values()] == [4 * len(names)] * len(names)
    rounds = ["".join(order[start : start + len(names)]) for start in range(len(names), len(order), len(names))]
    assert {"".join(sorted(turn)) for turn in rounds} == {names}
    firsts = collections.Counter(turn[0] for turn in rounds)
    assert set(firsts) == set(names), "somebody never began a round"
    assert len(set(firsts.values())) == 1, firsts


def test_after_the_seventh_round_only_the_base_and_ours_go_on(timing, monkeypatch):
    monkeypatch.setattr(timing, "MOST_ROUNDS", 20)
    run = lambda folder: np.ones((1, 1))  # noqa: E731
    taken = timing.interleaved(dict.fromkeys("abc", run), seconds=1e9, finalists=lambda so_far: sorted(so_far)[1:])
    assert [len(times) for times in taken.values()] == [7, 20, 20]
    assert timing.ratio([3.0, 4.0], [1.0, 4.0, 100.0]) == {"median": 2.0, "low": 1.0, "high": 3.0}
    assert len(timing.interleaved({"a": run}, seconds=0)["a"]) == 7


def test_a_peer_that_is_missing_is_named_not_hidden():
    code = (
        "import types, numpy, measure, report, rows\n"
        "def absent():\n"
        "    raise ModuleNotFoundError('no', name='lightning')\n"
        "run = lambda: lambda folder: numpy.ones((2, 1))\n"
        "peers = types.SimpleNamespace(factories=lambda *_: {'hand': run, 'ours': run, 'Lightning predict': absent})\n"
        "measure.importlib.import_module = lambda name: peers\n"
        "found = measure.measure(rows.Row('torch', 'cnn', 'arrays', 64, 'memory'), rounds=1)\n"
        "print(report.as_text(*report.rows_table([found])))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=BENCHMARKS)
    assert done.returncode == 0, done.stderr
    assert "Lightning predict: lightning is not installed" in done.stdout
