"""Models and datasets that worker processes import."""

import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np

from tests.store import stores


class Sleeping(stores.Linear):
    """A model that takes its time, as a device does, and lets the processor alone."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def __call__(self, inputs):
        time.sleep(self.seconds)
        return super().__call__(inputs)


class Marking(stores.Linear):
    """A model that does something at a row: once in all, whoever computes it first; or each time."""

    def __init__(self, row, action, once=None):
        super().__init__()
        self.row, self.action, self.once = stores.INPUTS[row], action, once

    def __call__(self, inputs):
        if np.array_equal(inputs[0], self.row) and self._is_time():
            self.action()
        return super().__call__(inputs)

    def _is_time(self):
        if self.once is None:
            return True
        try:
            Path(self.once).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def fail():
    message = "broken layer"
    raise RuntimeError(message)


def end_of_file():
    message = "No data left in file"
    raise EOFError(message)


def warn_of_a_kind_of_its_own():
    class OwnWarning(UserWarning):
        pass

    warnings.warn(OwnWarning("of a class that nobody can import"), stacklevel=2)


def die_and_leave_a_child():
    if not os.fork():  # it has all that its parent has open, as the processes of a pool
        time.sleep(60)
        os._exit(0)
    die()


def leave_with_a_thread():
    threading.Thread(target=time.sleep, args=(60,)).start()
    sys.exit(4)


def full():
    raise OSError(28, "No space left on device")


class DifferentInWorkers(stores.Linear):
    """A model that another process gets with other weights, by nobody's fault that can be seen."""

    def __init__(self, scale=2.0):
        super().__init__(scale)
        self.pid = os.getpid()

    def __reduce__(self):
        return type(self), (2.0000002,)
