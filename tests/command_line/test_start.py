"""Starting `first-order`: what is imported, without click, as a module, and stopped in the middle."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from probly.data_generator.installing import install_advice
from probly.data_generator.store import open_partial, open_store
from probly_data_generator_command_line.group import OURS
from tests.command_line.commands import command, contents, finished, stopped

HEAVY = (
    "torch", "jax", "tensorflow", "keras", "onnx", "onnxruntime", "openvino", "ai_edge_litert", "sklearn", "skops",
    "scipy", "pandas", "pyarrow", "matplotlib", "PIL", "datasets", "tqdm", "IPython",
)  # fmt: skip
SLOW = """
import os
import time

import numpy as np


def build():
    def model(inputs):  # slow enough to be stopped, except where it is asked not to be
        time.sleep(0.0 if "QUICK" in os.environ else 0.02)
        while "HOLD" in os.environ and os.path.exists("a.fod/spec.json") and not os.path.exists("continue"):
            time.sleep(0.01)
        return inputs
    return model


def data():
    logits = np.random.default_rng(0).normal(size=(2000, 4))
    return logits, np.arange(2000) % 4
"""
GENERATE = "generate --backend numpy --model slow:build --data slow:data --batch-size 10 --shard-seconds 0.1"


@pytest.mark.parametrize("arguments", [[], *([name] for name in OURS)], ids=" ".join)
def test_help_imports_no_framework(arguments):
    code = (
        "import sys; from probly_data_generator_command_line import main; assert main([*sys.argv[1:], '--help']) == 0; "
        f"print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]\n"
    assert re.match(rf"Usage: {' '.join(['first-order', *arguments])} [A-Za-z -]*\[OPTIONS\]", done.stdout)


def test_the_module_runs_like_the_script(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "probly.data_generator", "demo", "--json"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 1000
    assert len(open_store(tmp_path / "demo/teacher.fod")) == 1000


def test_main_stays_a_function(capsys):
    import probly_data_generator_command_line as package

    assert [package.main(["--version"]) for _ in range(2)] == [0, 0]
    assert len(set(capsys.readouterr().out.splitlines())) == 1


def test_without_click_one_line_says_what_to_install():
    code = """
import importlib.abc, sys

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "click":
            raise ModuleNotFoundError("No module named 'click'", name="click")

sys.meta_path.insert(0, Hidden())
from probly_data_generator_command_line import main
sys.exit(main(["--help"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"first-order needs click; {install_advice('probly-data-generator[cli]')}\n"


@pytest.fixture
def slow(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    return tmp_path


def check(folder, name):
    store = open_store(folder / name)
    store.verify()
    logits = np.random.default_rng(0).normal(size=(2000, 4))
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(store), rows, rtol=0, atol=1e-6)
    assert store.labels.tolist() == (np.arange(2000) % 4).tolist()


def quick(folder, *words, **options):
    """Run a command to its end without the pauses of its model."""
    return finished(folder, *words, QUICK="1", **options)


def test_ctrl_c_says_how_to_go_on_and_the_command_does(slow):
    words = [*GENERATE.split(), "--out", "a store.fod"]
    process, errors = stopped(slow, *words, store="a store.fod", signal_number=signal.SIGINT)
    assert process.returncode == 130, errors
    safe = len(open_partial(slow / "a store.fod"))
    assert 0 < safe < 2000
    again = f"first-order {GENERATE} --out 'a store.fod'"
    told = f"Stopped. {safe:,} of 2,000 rows are safe in a store.fod."
    assert errors == f"{told} To continue, run the same command again: {again}\n"
    assert json.loads(quick(slow, *words, "--json").stdout)["rows_before"] == safe
    check(slow, "a store.fod")


def test_sigterm_says_the_same_and_exits_with_143(slow):
    process, errors = stopped(slow, *GENERATE.split(), "--out", "a.fod", store="a.fod", signal_number=signal.SIGTERM)
    assert process.returncode == 143
    assert errors.startswith("Stopped. ")
    assert "Traceback" not in errors
    quick(slow, *GENERATE.split(), "--out", "a.fod")
    check(slow, "a.fod")


def test_a_killed_run_is_finished_by_the_same_command_with_the_same_rows(slow):
    process, _ = stopped(slow, *GENERATE.split(), "--out", "a.fod", store="a.fod")
    assert process.returncode == -signal.SIGKILL
    quick(slow, *GENERATE.split(), "--out", "a.fod")
    quick(slow, *GENERATE.split(), "--out", "whole.fod")
    assert np.asarray(open_store(slow / "a.fod")).tobytes() == np.asarray(open_store(slow / "whole.fod")).tobytes()
    check(slow, "a.fod")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_fresh_run_that_is_stopped_leaves_the_old_store_and_goes_on(slow, number):
    quick(slow, *GENERATE.replace("slow:build", "slow:data").split(), "--out", "a.fod", code=2)
    quick(slow, *GENERATE.split(), "--out", "a.fod", "--output-mode", "logits")
    before = contents(slow / "a.fod")
    words = [*GENERATE.split(), "--out", "a.fod", "--fresh"]
    process, _ = stopped(slow, *words, store=".a.fresh.fod", signal_number=number)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert contents(slow / "a.fod") == before
    safe = len(open_partial(slow / ".a.fresh.fod"))
    assert json.loads(quick(slow, *words, "--json").stdout)["rows_before"] == safe
    assert open_store(slow / "a.fod").spec.identity["output_mode"] == "auto"
    assert sorted(path.name for path in slow.iterdir() if path.name != "__pycache__") == ["a.fod", "slow.py"]
    check(slow, "a.fod")


def test_two_writers_of_one_store_do_not_mix(slow):
    words = [*GENERATE.split(), "--out", "a.fod"]
    held = {**os.environ, "HOLD": "1", "QUICK": "1"}
    first = subprocess.Popen(command(*words), cwd=slow, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=held)
    while not (slow / "a.fod/spec.json").exists():
        time.sleep(0.005)
    second = quick(slow, *words, code=2)
    assert "another writer is at work on this store" in second.stderr
    assert "another writer is at work" in quick(slow, *words, "--fresh", code=2).stderr
    (slow / "continue").touch()
    first.communicate()
    assert first.returncode == 0
    check(slow, "a.fod")
