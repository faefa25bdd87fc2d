"""Ctrl-C between any two lines while a store is opened, and signals that come faster than they can be handled."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from probly.data_generator import StoreError
from probly.data_generator.store import open_partial
from probly_data_generator_store import files, fod, layout, lock
from probly_data_generator_store.publisher import Publisher
from probly_data_generator_store.writer import StoreWriter
from tests.store import stores

ROOT = Path(__file__).parents[2]
OPTIONS = {"encoding": "float32", "shard_megabytes": 1, "shard_seconds": 1e9, "keys": None}


def opened(path):
    with fod.open_sink(path, {"a": 1}, OPTIONS):
        pass


def interrupting(number, modules):
    """Raise KeyboardInterrupt before the n-th line that some modules execute."""
    left = number

    def trace(frame, event, argument):
        nonlocal left
        if frame.f_code.co_filename not in modules:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    return trace


@pytest.mark.parametrize("there", [False, True])
def test_ctrl_c_at_any_line_while_a_store_is_opened_keeps_no_lock(tmp_path, there):
    modules = {sys.modules[kind.__module__].__file__ for kind in (StoreWriter, lock.Lock, Publisher)} | {fod.__file__}
    number, kept = 0, []
    while True:
        number += 1
        path = tmp_path / f"{number}.fod"
        if there:
            stores.run(path)
            (path / "manifest.json").unlink()
        previous = sys.gettrace()
        sys.settrace(interrupting(number, modules))
        try:
            opened(path)
        except KeyboardInterrupt as error:
            sys.settrace(previous)
            kept.append(error)  # as a notebook keeps it, with the frames of its traceback
        except StoreError:  # what is there is of another run
            sys.settrace(previous)
            break
        else:
            sys.settrace(previous)
            break
        lock.Lock(path / "lock").release() if (path / "lock").exists() else None
    assert number > 40
    assert len(kept) == number - 1


@pytest.mark.parametrize("after", [False, True])
def test_ctrl_c_exactly_when_the_block_begins(tmp_path, monkeypatch, after):
    path, enter = tmp_path / "a.fod", StoreWriter.__enter__

    def interrupted(self):
        if after:
            enter(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(StoreWriter, "__enter__", interrupted)
    with pytest.raises(KeyboardInterrupt) as kept:
        stores.run(path)
    monkeypatch.undo()
    assert stores.agrees(stores.run(path))
    assert kept.tb is not None


def test_a_draft_whose_end_was_interrupted_is_begun_anew(tmp_path):
    disk = Publisher(tmp_path, lambda: "0 bytes", lambda: 0)
    path = tmp_path / "000000000000-000000000001.safetensors"
    tensors = {"probs": stores.np.float32([[0.25, 0.75]])}
    header, *data = layout.pieces(tensors, {})
    disk._draft = files.Draft(path)
    disk._draft._close()  # closed by publish, when the second signal came
    disk.publish_shard(path, header, data)
    assert layout.read_file(path)[1]["probs"].tolist() == [[0.25, 0.75]]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_signal_while_a_draft_is_given_up_leaves_none_behind(tmp_path, monkeypatch):
    def interrupted(draft):
        raise KeyboardInterrupt

    disk = Publisher(tmp_path, lambda: "0 bytes", lambda: 0)
    disk._draft = files.Draft(tmp_path / "x")
    monkeypatch.setattr(files.Draft, "discard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        disk.discard()
    assert disk._draft is None
    assert disk.done == layout.NOTHING


BURST = """
    import os, signal, sys, threading, time
    from tests.store import stores

    signal.signal(signal.SIGINT, signal.default_int_handler)

    class Sender(stores.Linear):
        def __call__(self, inputs):
            if stores.np.array_equal(inputs[0], stores.INPUTS[25]):
                def send():
                    for _ in range(300):
                        os.kill(os.getpid(), signal.%s)
                        time.sleep(0.0001)

                threading.Thread(target=send, daemon=True).start()
                time.sleep(5)
            return super().__call__(inputs)

    Sender.__qualname__ = "Linear"
    stores.run(sys.argv[1], model=Sender(), shard_megabytes=1)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_burst_of_signals(tmp_path, name):
    path = tmp_path / "a.fod"
    command = [sys.executable, "-c", textwrap.dedent(BURST % name), path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "AssertionError" not in done.stderr
    if name == "SIGTERM":  # the first one ends the run, and none of the others what publishes its rows
        assert done.returncode == 143, done.stderr
        assert list(open_partial(path)) == list(range(25))
    else:
        assert done.returncode in (1, -signal.SIGINT), done.stderr
    assert stores.agrees(stores.run(path))
