"""One writer at a time, by a lock that dies with its holder."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from probly.data_generator import StoreError
from probly.data_generator.store import open_partial, open_store
from probly_data_generator_store import lock
from tests.store import stores

ROOT = Path(__file__).parents[2]

HOLDER = """
    import sys
    from probly.data_generator.run import loop
    from tests.store import stores

    loop.LONGEST_WAIT = 0  # what is computed is written at once

    class Linear(stores.Linear):
        def __call__(self, inputs):
            if stores.np.array_equal(inputs[0], stores.INPUTS[25]):
                print("writing", flush=True)
                sys.stdin.read()
            return super().__call__(inputs)

    stores.run(sys.argv[1], model=Linear())
"""


def test_a_second_writer_fails_at_once_and_a_killed_one_is_no_obstacle(tmp_path):
    path = tmp_path / "a.fod"
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"writing\n"
        with pytest.raises(StoreError, match="another writer is at work on this store"):
            stores.run(path)
        seen = open_partial(path)  # reading is not writing
        assert 0 < len(seen) < stores.ROWS
        with pytest.raises(StoreError, match="incomplete"):
            open_store(path)
        holder.kill()
    assert stores.agrees(stores.run(path))


def test_a_writer_that_is_paused_is_not_dead(tmp_path):
    path = tmp_path / "a.fod"
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"writing\n"
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreError, match="another writer is at work on this store"):
            stores.run(path)
        holder.kill()  # works on a stopped process, too
        holder.wait()
        assert stores.agrees(stores.run(path))


@pytest.mark.parametrize("step", ["_lock", "_check_same"])
def test_ctrl_c_while_the_lock_is_taken_leaves_none(tmp_path, monkeypatch, step):
    path, real = tmp_path / "a.fod", getattr(lock, step)

    def interrupted(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(lock, step, interrupted)
    with pytest.raises(KeyboardInterrupt) as kept:  # as a notebook does, with the frames of its traceback
        stores.run(path)
    monkeypatch.undo()
    assert stores.agrees(stores.run(path))
    assert kept.tb is not None


def test_two_writers_in_one_process(tmp_path):
    path = tmp_path / "a.fod"

    class Nested(stores.Linear):
        def __call__(self, inputs):
            with pytest.raises(StoreError, match="another writer"):
                stores.run(path)
            return super().__call__(inputs)

    Nested.__qualname__ = "Linear"
    assert stores.agrees(stores.run(path, model=Nested()))


@pytest.mark.filterwarnings("ignore:.*fork")  # of JAX, if another test has started its threads
def test_a_forked_worker_does_not_keep_the_lock(tmp_path):
    path, pids = tmp_path / "a.fod", []
    reading, writing = os.pipe()

    class Forking(stores.Linear):
        def __call__(self, inputs):
            if not pids:
                pids.append(os.fork())
                if not pids[0]:
                    os.close(writing)
                    os.read(reading, 1)  # outlives the writer
                    os._exit(0)
            raise RuntimeError

    Forking.__qualname__ = "Linear"
    with pytest.raises(RuntimeError):
        stores.run(path, model=Forking())
    assert stores.agrees(stores.run(path))
    os.close(writing)
    os.waitpid(pids[0], 0)
    os.close(reading)
