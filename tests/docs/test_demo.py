"""The demo does what the README says, with every backend under test."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from probly.data_generator.report import summarise
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
    assert text.count('src="data:image/png;base64,') == 36, (
        "twelve uncertain, twelve disputed, twelve unexpected digits"
    )
    members = load(tmp_path / "ensemble.fod")[0]
    assert members.members.shape == (899, 5, 10)
    np.testing.assert_allclose(members.probabilities, np.asarray(members.members).mean(axis=1), atol=1e-6)
    before, after = map(float, re.search(r"calibration error of the other ([\d.]+) -> ([\d.]+)", done.stdout).groups())
    assert after < before / 2
    ranked = (tmp_path / "label_next.csv").read_text(encoding="utf-8").splitlines()
    disputed = summarise(members).members.disputed
    assert [int(line.split(",")[0]) for line in ranked[1:13]] == [sample.dataset_index for sample in disputed]
    assert "What the members dispute" in text
    assert f">digit-{disputed[0].dataset_index}<" in text, "cards show the keys of the samples"
    assert samples.read_bytes().startswith(b"\x89PNG")


def test_unknown_backends_are_refused(tmp_path):
    command = [sys.executable, EXAMPLES / "digits.py", "--backends", "nope", "--output", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "unknown backends nope; there are numpy, torch, jax, tensorflow" in done.stderr
    assert not (tmp_path / "out").exists()
