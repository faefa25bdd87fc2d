"""The engine for one machine: a process for each worker, on a device of its own.

Processes are spawned, because a device's driver and the threads of a framework do not survive a fork; so the model and
the dataset are pickled to them.
"""

import contextlib
import multiprocessing
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from probly.data_generator.engines.contract import Job
from probly.data_generator.engines.driver import Driver

SECONDS_TO_LEAVE = 5.0
"""What an idle process gets to close its model and its files."""
SECONDS_BETWEEN_LOOKS = 2.0
"""How often it is asked who has died: processes that a worker has forked keep its end of the pipe open."""


@dataclass(frozen=True, eq=False)
class Process:
    """A worker, as the driver sees it."""

    number: int
    device: str | None
    process: Any
    connection: Connection

    def __str__(self) -> str:
        """Name it in messages."""
        where = "" if self.device is None else f" on {self.device}"
        return f"worker {self.number}{where} (process {self.process.pid})"

    @property
    def started(self) -> bool:
        """Whether it was, which Ctrl-C may have prevented."""
        return self.process.pid is not None

    def dismiss(self, *, idle: bool) -> None:
        """Tell it to end, or end it: one that is busy computes what is there already, or what nobody wants any more."""
        if idle:
            with contextlib.suppress(OSError):
                self.connection.send(None)
        elif self.started:
            self.process.kill()  # stopped ones, too

    def leave(self) -> None:
        """Wait until it has ended."""
        if self.started:
            self.process.join(SECONDS_TO_LEAVE)
            self.process.kill()
            self.process.join()
        self.connection.close()


def run(job: Job, driver: Driver, workers: int | None, devices: Sequence[str], options: Mapping[str, Any]) -> None:
    """Compute all shards that are missing; see ``engines.contract.Engine``.

    Args:
        job: What a worker does.
        driver: What is left to do.
        workers: How many; None for one per device.
        devices: Those of the workers, in turn.
        options: None is known.

    Raises:
        ValueError: There is an option, or the program is none that a process can import.
        TypeError: The model, the dataset or a function cannot be pickled.
        WorkerError: Workers die.
    """
    if options:
        message = f"engine_options: the engine 'processes' has none, got {', '.join(sorted(options))}"
        raise ValueError(message)
    _refuse_program_without_file()
    payload, numbers = _payload(job), count()
    names: list[str | None] = list(devices) or [None]
    at_work: list[Process] = []
    idle: set[Process] = set()

    def start(device: str | None) -> None:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        # No daemon: a loader starts processes of its own in it. It ends when its end of the pipe is closed.
        process = context.Process(target=_work, args=(there, payload, device))
        at_work.append(Process(next(numbers), device, process, here))  # first: Ctrl-C may come while it is started
        process.start()
        there.close()

    try:
        for place in range(workers or len(names)):
            start(names[place % len(names)])
        while not driver.done:
            for process in _heard(at_work):
                if not _answer(process, driver, idle):
                    at_work.remove(process)
                    driver.lost(process, _end(process))
                    start(process.device)
            _hand_out(driver, idle)
    finally:
        for process in at_work:  # all of them before the first is waited for: Ctrl-C may come a second time
            process.dismiss(idle=process in idle)
        for process in at_work:
            process.leave()


def _hand_out(driver: Driver, idle: set[Process]) -> None:
    for process in sorted(idle, key=lambda one: one.number):
        number = driver.next(process)
        if number is not None:
            idle.discard(process)
            with contextlib.suppress(OSError):  # it has just died, which is heard of next
                process.connection.send(number)


def _heard(at_work: Sequence[Process]) -> list[Process]:
    """Wait until workers have something to say, or have died."""
    while True:
        found = wait([process.connection for process in at_work], SECONDS_BETWEEN_LOOKS)
        heard = [process for process in at_work if process.connection in found or not process.process.is_alive()]
        if heard:
            return heard


def _answer(process: Process, driver: Driver, idle: set[Process]) -> bool:
    """Take what a worker says, and return whether it is alive."""
    try:
        # Where there is nothing to read, it has died, and others keep its pipe open.
        found = process.connection.recv() if process.connection.poll() else None
    except (EOFError, OSError):
        found = None
    if found is None:
        idle.discard(process)
        return False
    kind, what = found
    if kind == "warning":
        warnings.warn(what, stacklevel=2)
    elif kind == "error":
        what.add_note(f"raised in {process}")
        raise what
    else:
        if kind == "admitted":
            driver.admitted(*what)
        else:
            driver.received(process, what)
        idle.add(process)
    return True


def _end(process: Process) -> str:
    process.leave()
    code = process.process.exitcode
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{process} {how}"


def _refuse_program_without_file() -> None:
    """Refuse what was read from standard input: a spawned process imports the program by its file."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if getattr(main, "__spec__", None) is None and file is not None and not Path(file).exists():
        message = f"workers: this program is {file}, which worker processes cannot import; run it from a file"
        raise ValueError(message)


def _payload(job: Job) -> bytes:
    """Pickle what is sent to all workers.

    Raises:
        TypeError: A part cannot be pickled; the message names it.
    """
    try:
        return pickle.dumps(job)
    except Exception as error:
        parts = {"dataset": job.dataset, **job.arguments}
        name = next((name for name, part in parts.items() if not _can_be_pickled(part)), "job")
        message = (
            f"{name}: cannot be sent to a worker process: {type(error).__name__}: {error}; pass functions, classes and "
            'datasets that are defined in a module, and the model as a file or as "module:attribute"'
        )
        raise TypeError(message) from error


def _can_be_pickled(part: Any) -> bool:
    try:
        pickle.dumps(part)
    except Exception:  # noqa: BLE001  # __reduce__ may raise anything
        return False
    return True


class _Line:
    """A worker's end of the pipe, which its threads share; it ends the process when the driver is gone."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def say(self, kind: str, what: Any) -> None:
        """Send something to the driver."""
        with self._lock, _with_driver():
            self._connection.send((kind, what))

    def hear(self) -> Any:
        """Wait for a number, or for None."""
        with _with_driver():
            return self._connection.recv()


@contextlib.contextmanager
def _with_driver() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise SystemExit(0) from error  # what was published stays


def _work(connection: Connection, payload: bytes, device: str | None) -> None:
    """Be a worker: the main function of its process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's, which ends its workers
    line = _Line(connection)
    # Closed in the end, so that the driver hears of it where a thread keeps the process from ending.
    with connection, _reported(line), _job(payload).start(device) as worker:
        ranges = worker.ranges
        line.say("admitted", (ranges.rows, max(len(ranges.range(0)), 1), ranges.missing()))
        while (number := line.hear()) is not None:
            line.say("receipt", worker.compute(number))


def _job(payload: bytes) -> Job:
    try:
        job: Job = pickle.loads(payload)  # noqa: S301  # from our own parent
    except Exception as error:
        error.add_note(
            "a worker process could not import what it was sent; define functions, classes and datasets in a module, "
            'and pass the model as a file or as "module:attribute"'
        )
        raise
    return job


@contextlib.contextmanager
def _reported(line: _Line) -> Iterator[None]:
    """Send warnings and an error of the block to the driver."""
    known = set()

    def show(message: Warning | str, *rest: Any) -> None:  # noqa: ARG001  # as the warnings module calls it
        if str(message) not in known:
            known.add(str(message))
            line.say("warning", message if _can_be_sent(message) else UserWarning(str(message)))

    warnings.showwarning = show  # type: ignore[assignment]  # the process is ours
    try:
        yield
    except Exception as error:  # noqa: BLE001  # raised again by the driver
        error.add_note("".join(traceback.format_tb(error.__traceback__)))
        line.say("error", _portable(error))


def _portable(error: Exception) -> Exception:
    """Return an error that can be sent: itself, or what it said."""
    if _can_be_sent(error):
        return error
    portable = RuntimeError(f"{type(error).__qualname__}: {error}")
    portable.__notes__ = list(error.__notes__)
    return portable


def _can_be_sent(what: Any) -> bool:
    """Return whether something arrives that was sent."""
    try:
        pickle.loads(pickle.dumps(what))  # noqa: S301  # our own
    except Exception:  # noqa: BLE001  # whatever its class does
        return False
    return True
