"""Runs that are killed, in children of a small process: python killed.py FOLDER lines|calls."""

import contextlib
import functools
import os
import random
import shutil
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from probly.data_generator.discovery import listing
from probly.data_generator.store import open_store
from tests.store import stores

forever = contextlib.ExitStack()


def attempt(path, prepare):
    """Run in a forked child and return whether it came to its end."""
    child = os.fork()
    if not child:
        prepare()
        stores.run(path)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return status == 0


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def at_line(number):
    """Kill the process when it has executed so many lines of the store's code."""
    left = number

    def trace(frame, event, argument):
        nonlocal left
        if "probly_data_generator_store" not in frame.f_code.co_filename:
            return None
        left -= 1
        if left <= 0:
            die()
        return trace

    sys.settrace(trace)


def at_call(number):
    """Kill the process inside its n-th change of the disk, after half of a write."""
    left = number

    def before(name, original, *arguments):
        nonlocal left
        left -= 1
        if left == 0:
            if name == "write":
                view = memoryview(arguments[1]).cast("B")
                original(arguments[0], view[: len(view) // 2], arguments[2])
            die()
        return original(*arguments)

    forever.enter_context(stores.watching(before))


def check(path):
    store = open_store(path)
    store.verify()
    assert stores.agrees(store)


def lines(folder):
    draw, kills, runs = random.Random(0), 0, 0
    while kills < 60:
        path = folder / f"{runs}.fod"
        longest = 200
        while not attempt(path, functools.partial(at_line, draw.randrange(1, int(longest)))):
            kills += 1
            longest *= 1.1  # so that it comes to an end
        check(path)
        shutil.rmtree(path)
        runs += 1
    print("kills", kills)


def calls(folder):
    number, done = 0, False
    while not done:
        number += 1
        path = folder / f"{number}.fod"
        done = attempt(path, functools.partial(at_call, number))
        # The next one is killed too: while it cleans up, and while it publishes.
        attempt(path, functools.partial(at_call, 1 + number % 7))
        assert attempt(path, lambda: None)
        check(path)
    print("kills", number - 1)


if __name__ == "__main__":
    listing._scan = functools.cache(listing._scan)  # see conftest.py
    stores.run(Path(sys.argv[1]) / "first.fod")  # what is imported late is there before the first child
    {"lines": lines, "calls": calls}[sys.argv[2]](Path(sys.argv[1]))
