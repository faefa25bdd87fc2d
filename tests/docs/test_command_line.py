"""The shell blocks of docs/command_line.md run as written, in one folder, in their order."""

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

TEXT = (Path(__file__).parents[2] / "docs/command_line.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_the_session_of_the_documentation(tmp_path):
    programs = Path(sys.executable).parent
    assert (programs / "first-order").is_file(), "install the core distribution, so that its script is there"
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    for block in BLOCKS:
        done = subprocess.run(
            [shutil.which("bash"), "-euc", block], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        assert done.stdout
        assert not done.stderr
    assert open_store(tmp_path / "mine.fod").spec.identity["output_transform"]["name"] == "Temperature(2.0)"
    assert open_store(tmp_path / "small.fod").spec.encoding == "top-2"
    assert len(pd.read_parquet(tmp_path / "mine.parquet")) == 1000
    assert 0 < json.loads((tmp_path / "difference.json").read_text())["total_variation"]["mean"] < 0.1


def test_the_session_shows_every_command_but_the_check_of_backends():
    assert {name for name in OURS if f"first-order {name}" in "".join(BLOCKS)} == OURS.keys() - {"backends"}
    for name in OURS:
        assert f"| `{name}" in TEXT
