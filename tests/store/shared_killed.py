"""Workers of a shared store that are killed, in children of a small process: python shared_killed.py FOLDER."""

import functools
import os
import shutil
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from probly.data_generator.discovery import listing
from tests.store import killed, shared


def attempt(path, share, number=None):
    """Be a worker in a forked child, killed at its n-th change of the disk; return whether it came to its end."""
    child = os.fork()
    if not child:
        if number is not None:
            killed.at_call(number)
        shared.run(path, share=share)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    return status == 0


def main(folder):
    single = folder / "single.fod"
    shared.run(single)
    number, done = 0, False
    while not done:
        number += 1
        path = folder / f"{number}.fod"
        done = attempt(path, (0, 1), number)
        # Another worker with another share, killed too: in its work, or while it completes the store.
        attempt(path, (1, 2), 1 + number % 11)
        assert attempt(path, (0, 2))
        shared.check(path, single)
        shutil.rmtree(path)
    print("kills", number - 1)


if __name__ == "__main__":
    listing._scan = functools.cache(listing._scan)  # see conftest.py
    main(Path(sys.argv[1]))
