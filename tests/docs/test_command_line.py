"""The shell blocks of the command line's documentation run as written, in one folder, in their order."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from probly.data_generator.store import open_store
from probly_data_generator_command_line.group import OURS

ROOT = Path(__file__).parents[2]


def blocks(name):
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(folder, name):
    """Run the blocks of a file; each prints something, and nothing to complain about."""
    programs = Path(sys.executable).parent
    assert (programs / "first-order").is_file(), "install the command line, so that its script is there"
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for block in blocks(name):
        done = subprocess.run(
            [shutil.which("bash"), "-euc", block], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        assert done.stdout
        assert not done.stderr


def test_the_session_of_the_documentation(tmp_path):
    run(tmp_path, "docs/command_line.md")
    assert open_store(tmp_path / "mine.fod").spec.identity["output_transform"]["name"] == "Temperature(2.0)"
    assert open_store(tmp_path / "small.fod").spec.encoding == "top-2"
    assert len(pd.read_parquet(tmp_path / "mine.parquet")) == 1000
    assert 0 < json.loads((tmp_path / "difference.json").read_text())["total_variation"]["mean"] < 0.1


def test_the_session_of_the_readme(tmp_path):
    run(tmp_path, "plugins/command_line/README.md")
    assert len(json.loads((tmp_path / "teacher.json").read_text())["distributions"]) == 1000
    assert (tmp_path / "report.html").is_file()


def test_the_session_shows_every_command_but_the_check_of_backends():
    session, text = "".join(blocks("docs/command_line.md")), (ROOT / "docs/command_line.md").read_text(encoding="utf-8")
    assert {name for name in OURS if f"first-order {name}" in session} == OURS.keys() - {"backends"}
    for name in OURS:
        assert f"| `{name}" in text


def test_every_link_of_the_documentation_leads_somewhere():
    for path in re.findall(r"\]\((\.\./[\w./-]+)\)", (ROOT / "docs/command_line.md").read_text(encoding="utf-8")):
        assert (ROOT / "docs" / path).exists(), path
