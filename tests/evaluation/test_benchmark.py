"""The measurement of the evaluation runs, and leaves nothing behind."""

import runpy
import warnings
from pathlib import Path

FILE = Path(__file__).parents[2] / "benchmarks" / "bench_evaluation.py"


def test_every_evaluation_is_measured(tmp_path, capsys):
    with warnings.catch_warnings():
        measure = runpy.run_path(str(FILE))["main"]
        measure(["--rows", "300", "--classes", "5", "--members", "2", "--folder", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("300 rows, 5 classes, 2 members")
    assert len(lines) == 17
    assert not list(tmp_path.iterdir())
