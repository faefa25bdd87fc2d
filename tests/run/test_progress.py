"""What a run says of itself: lines in a log, a bar on a terminal or in a notebook, calls of a function."""

import contextlib
import importlib
import io
import json
import os
import pty
import re
import subprocess
import sys
import termios

import jupyter_client
import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.run import loop, progress
from probly.data_generator.run.progress import Progress, describe
from tests.store import stores

LOGITS = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)


class Clock:
    """A clock that goes on by so many seconds with every batch of the model."""

    def __init__(self, seconds):
        self.now, self.seconds = 1000.0, seconds

    def __call__(self):
        return self.now

    def model(self, inputs):
        self.now += self.seconds
        return inputs


@pytest.fixture
def clock(monkeypatch):
    """Give a clock with 12 seconds per batch, each of which is shown by itself."""
    found = Clock(12.0)
    monkeypatch.setattr(progress, "clock", found)
    monkeypatch.setattr(loop, "LONGEST_WAIT", 0.0)
    return found


def generator(clock):
    def model(inputs):  # a method would bring the clock along, as the state of the model
        return clock.model(inputs)

    return FirstOrderDataGenerator(model, batch_size=10, output_mode="logits", backend="numpy")


def test_a_log_gets_a_line_every_30_seconds(clock, capsys):
    generator(clock).generate_distributions(LOGITS)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "20 of 100 rows (20 %), 0.83 rows/s, 1:36 left"
    assert len(lines) == 4
    assert lines[-1].startswith("100 of 100 rows (100 %)")


def test_a_short_run_leaves_no_line(clock, capsys):
    clock.seconds = 1.0
    generator(clock).generate_distributions(LOGITS)
    assert capsys.readouterr() == ("", "")
    clock.seconds = 100.0
    generator(clock).generate_distributions(LOGITS, progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_function_gets_every_batch_and_the_end(clock):
    seen = []
    generator(clock).generate_distributions(LOGITS, progress=seen.append)
    assert [one.rows for one in seen] == [*range(10, 101, 10), 100]
    assert {one.total for one in seen} == {100}
    assert {one.safe_rows for one in seen} == {0}
    assert seen[0].rate == 0
    assert seen[0].remaining is None
    assert seen[1].rate == pytest.approx(10 / 12)
    assert seen[1].remaining == pytest.approx(80 * 12 / 10)
    assert seen[-1].remaining == 0
    with pytest.raises(AttributeError, match="cannot assign"):
        seen[0].rows = 3


class Screen:
    """A display that notes what is shown."""

    seconds = 0.0

    def __init__(self):
        self.seen = []

    def show(self, progress, *, last):
        self.seen.append((progress.rows, last))

    def close(self):
        self.seen.append("closed")


def test_the_screen_is_let_go_of_and_only_a_good_end_is_shown():
    done, failed = Screen(), Screen()
    with progress.Tracker(5, done, lambda: 0) as tracker:
        tracker.update(5)
    with contextlib.suppress(RuntimeError), progress.Tracker(5, failed, lambda: 0) as tracker:
        tracker.update(3)
        raise RuntimeError
    assert (done.seen, failed.seen) == ([(5, False), (5, True), "closed"], [(3, False), "closed"])


def test_an_unknown_length_has_no_remaining_time(clock):
    seen = []
    generator(clock).generate_distributions(iter(LOGITS), progress=seen.append)
    assert {one.total for one in seen} == {None}
    assert {one.remaining for one in seen} == {None}
    assert seen[-1].rows == 100


def test_safe_rows_are_those_that_are_published(tmp_path):
    seen = []
    stores.generator().generate_distributions(
        stores.DATA, out=tmp_path / "a.fod", shard_megabytes=stores.TEN_ROWS, shard_seconds=1e9, progress=seen.append
    )
    assert [(one.rows, one.safe_rows) for one in seen] == [
        (5, 0), (10, 10), (15, 10), (20, 20), (25, 20), (30, 30), (35, 30), (40, 40), (43, 40), (43, 43),
    ]  # fmt: skip


def test_a_resumed_run_counts_what_was_there_but_not_for_its_rate(tmp_path, clock):
    class StopError(Exception):
        pass

    def stop(now):
        if now.rows == 20:
            raise StopError

    options = {"out": tmp_path / "a.fod", "shard_megabytes": 10 * 3 * 4 / 2**20, "shard_seconds": 1e9}
    with pytest.raises(StopError):
        generator(clock).generate_distributions(LOGITS, progress=stop, **options)
    seen = []
    generator(clock).generate_distributions(LOGITS, progress=seen.append, **options)
    assert [one.rows for one in seen] == [*range(30, 101, 10), 100]
    assert seen[0].safe_rows == 30
    assert seen[1].rate == pytest.approx(10 / 12)
    assert seen[-1].safe_rows == 100


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="expected True, False or a function of one Progress, got 'yes'"):
        generator(Clock(0)).generate_distributions(LOGITS, progress="yes")


def test_a_function_that_fails_stops_the_run_and_keeps_what_is_published(tmp_path):
    def fail(now):
        raise KeyError(now.rows)

    with pytest.raises(KeyError, match="5"):
        stores.generator().generate_distributions(stores.DATA, out=tmp_path / "a.fod", progress=fail)
    assert stores.agrees(stores.run(tmp_path / "a.fod"))


@pytest.mark.parametrize(
    ("rate", "shown"), [(0.0, "5 rows"), (0.031, "5 rows, 0.031 rows/s"), (12345.6, "5 rows, 12,346 rows/s")]
)
def test_rates_of_any_size_are_readable(rate, shown):
    assert describe(Progress(5, None, 0, rate, None)) == shown


def test_an_empty_dataset_shows_nothing_to_divide_by(capsys):
    seen = []
    generator(Clock(0)).generate_distributions(LOGITS[:0], progress=seen.append)
    assert seen == [Progress(0, 0, 0, 0.0, 0.0)]


def test_a_run_without_standard_error_goes_on(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert len(generator(Clock(0)).generate_distributions(LOGITS)) == 100


def test_a_bar_on_a_terminal_shows_rate_time_and_safe_rows(monkeypatch, tmp_path, clock):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    generator(clock).generate_distributions(LOGITS, out=tmp_path / "a.fod", shard_megabytes=10 * 3 * 4 / 2**20)
    frames = screen.getvalue().split("\r")
    assert any("50 of 100 rows" in frame and "0.83 rows/s, 1:00 left, 50 safe" in frame for frame in frames), frames
    assert "100 of 100 rows" in frames[-1]
    assert "100 safe" in frames[-1]


def test_a_real_terminal_gets_a_bar():
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 100))
    code = (
        "import numpy as np\nfrom probly.data_generator import FirstOrderDataGenerator\n"
        "FirstOrderDataGenerator(lambda x: x, output_mode='logits').generate_distributions(np.zeros((100, 3)))"
    )
    subprocess.run([sys.executable, "-c", code], stderr=slave, check=True)
    os.close(slave)
    assert "100 of 100 rows" in os.read(master, 10_000).decode()
    os.close(master)


def in_a_notebook(code):
    """Run code in a kernel of Jupyter's, and return what it displays: widgets by MIME type, and text."""
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3")
    shown = []
    try:
        reply = client.execute_interactive(
            code, output_hook=lambda message: shown.append(message["content"]), timeout=120
        )
        assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return shown


NOTEBOOK = """
import numpy as np
from probly.data_generator import FirstOrderDataGenerator
{first}
generator = FirstOrderDataGenerator(lambda x: x, output_mode="logits")
rows = generator.generate_distributions(np.zeros((100, 3)), progress={progress})
"""


def test_a_notebook_gets_its_own_bar():
    shown = in_a_notebook(NOTEBOOK.format(first="", progress=True))
    kinds = [kind for one in shown for kind in one.get("data", {})]
    assert "application/vnd.jupyter.widget-view+json" in kinds
    assert not [one for one in shown if one.get("name") == "stderr"]


def test_a_notebook_without_widgets_gets_no_warning():
    hide = "import sys; sys.modules['ipywidgets'] = None; import importlib.util as u; found = u.find_spec\n"
    hide += "u.find_spec = lambda name, *rest: None if name == 'ipywidgets' else found(name, *rest)"
    shown = in_a_notebook(NOTEBOOK.format(first=hide, progress=True))
    assert not [one for one in shown if "Warning" in one.get("text", "")]
    assert not [kind for one in shown for kind in one.get("data", {}) if "widget" in kind]


def test_a_silent_notebook_shows_nothing():
    shown = in_a_notebook(NOTEBOOK.format(first="", progress=False))
    assert not [one for one in shown if "data" in one or "text" in one]


def test_the_command_line_writes_lines_to_a_log_and_is_silent_if_asked_to(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import numpy as np\nfrom probly.data_generator.run import progress\n\nclass Clock:\n    now = 0.0\n\n"
        "progress.clock = lambda: Clock.now\n\ndef build():\n    def model(inputs):\n        Clock.now += 40\n"
        "        return inputs\n    return model\n\n\ndef data():\n    return np.full((100, 3), 1 / 3)\n"
    )
    line = "generate --backend numpy --model slow:build --data slow:data --batch-size 10 --out"
    code = "import sys; from probly_data_generator_command_line import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, *line.split()]
    done = subprocess.run([*words, "a.fod", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert re.search(r"^\d+ of 100 rows \(\d+ %\), ", done.stderr, re.MULTILINE)
    assert json.loads(done.stdout)["rows"] == 100
    done = subprocess.run([*words, "b.fod", "--quiet"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_what_a_function_gets_keeps_its_promised_import_path():
    assert importlib.import_module("probly.data_generator.progress").Progress is Progress
