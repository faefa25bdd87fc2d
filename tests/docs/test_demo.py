"""The demo does what the README says, with every backend under test."""

import re
import subprocess
import sys
from pathlib import Path

from probly.data_generator.store import load
from tests.conftest import BACKENDS

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOWN = [name for name in BACKENDS if name in ("numpy", "torch", "jax", "tensorflow")]


def test_the_demo(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "digits.py", "--backends", " ".join(SHOWN), "--output", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = {name: load(tmp_path / f"{name}.json")[0] for name in SHOWN}
    for name, distributions in rows.items():
        line = re.search(rf"^{name} +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +[\d.]+ +(\S+)$", done.stdout, re.MULTILINE)
        assert int(line[1]) == len(distributions) == 899
        assert float(line[2]) > 0.9, "the classifier is a good one"
        assert float(line[5]) < 1e-6, f"{name} differs from numpy"
    soft, labels = re.findall(r"trained on .*accuracy ([\d.]+), agrees with the teacher on ([\d.]+)", done.stdout)
    assert float(soft[0]) > 0.9
    assert float(soft[1]) > float(labels[1]), "soft targets bring the student closer to its teacher"
    page, samples = tmp_path / "report.html", tmp_path / "figures" / "samples.png"
    assert str(page) in done.stdout
    text = page.read_text(encoding="utf-8")
    assert "899 samples" in text
    assert text.count('src="data:image/png;base64,') == 24, "twelve uncertain digits, twelve with unexpected labels"
    assert samples.read_bytes().startswith(b"\x89PNG")


def test_unknown_backends_are_refused(tmp_path):
    command = [sys.executable, EXAMPLES / "digits.py", "--backends", "nope", "--output", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "unknown backends nope; there are numpy, torch, jax, tensorflow" in done.stderr
    assert not (tmp_path / "out").exists()
