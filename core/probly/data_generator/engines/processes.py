"""The engine for one machine: a process for each worker, on a device of its own.

Processes are spawned, because a device's driver and the threads of a framework do not survive a fork; so the model and
the dataset are pickled to them.
"""

import contextlib
import multiprocessing
import pickle
import signal
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection, wait
from typing import Any

from probly.data_generator.engines.contract import Job
from probly.data_generator.engines.driver import Driver

SECONDS_TO_LEAVE = 5.0
"""What an idle process gets to close its model and its files."""


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

    def leave(self, *, idle: bool) -> None:
        """End it; one that is busy computes what is there already, or what nobody wants any more."""
        if idle:
            with contextlib.suppress(OSError):
                self.connection.send(None)
            self.process.join(SECONDS_TO_LEAVE)
        self.process.kill()  # stopped ones, too
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
        ValueError: There is an option.
        TypeError: The model, the dataset or a function cannot be pickled.
        WorkerError: Workers die.
    """
    if options:
        message = f"engine_options: the engine 'processes' has none, got {', '.join(sorted(options))}"
        raise ValueError(message)
    payload, numbers = _payload(job), count()
    names: list[str | None] = list(devices) or [None]

    def start(device: str | None) -> Process:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        # No daemon: a loader starts processes of its own in it. It ends when its end of the pipe is closed.
        process = context.Process(target=_work, args=(there, payload, device))
        process.start()
        there.close()
        return Process(next(numbers), device, process, here)

    at_work: list[Process] = []
    idle: set[Process] = set()
    try:
        at_work.extend(start(names[place % len(names)]) for place in range(workers or len(names)))
        while not driver.done:
            for process in _heard(at_work):
                if not _answer(process, driver, idle):
                    at_work.remove(process)
                    driver.lost(process, _end(process))
                    at_work.append(start(process.device))
            for process in sorted(idle, key=lambda one: one.number):
                number = driver.next(process)
                if number is not None:
                    idle.discard(process)
                    with contextlib.suppress(OSError):  # it has just died, which is heard of next
                        process.connection.send(number)
    finally:
        for process in at_work:
            process.leave(idle=process in idle)


def _heard(at_work: Sequence[Process]) -> list[Process]:
    """Wait until workers have something to say; one that died says so by closing its end."""
    found = wait([process.connection for process in at_work])
    return [process for process in at_work if process.connection in found]


def _answer(process: Process, driver: Driver, idle: set[Process]) -> bool:
    """Take what a worker says, and return whether it is alive."""
    try:
        kind, what = process.connection.recv()
    except (EOFError, OSError):
        idle.discard(process)
        return False
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
    process.process.join()
    process.connection.close()
    code = process.process.exitcode
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{process} {how}"


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


def _work(connection: Connection, payload: bytes, device: str | None) -> None:
    """Be a worker: the main function of its process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's, which ends its workers
    try:
        with _reported(connection):
            job: Job = pickle.loads(payload)  # noqa: S301  # from our own parent
            with job.start(device) as worker:
                ranges = worker.ranges
                connection.send(("admitted", (ranges.rows, max(len(ranges.range(0)), 1), ranges.missing())))
                while (number := connection.recv()) is not None:
                    connection.send(("receipt", worker.compute(number)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the driver is gone; what was published stays


@contextlib.contextmanager
def _reported(connection: Connection) -> Iterator[None]:
    """Send warnings and an error of the block to the driver."""
    known = set()

    def show(message: Warning | str, *rest: Any) -> None:  # noqa: ARG001  # as the warnings module calls it
        if str(message) not in known:
            known.add(str(message))
            connection.send(("warning", message))

    warnings.showwarning = show  # type: ignore[assignment]  # the process is ours
    try:
        yield
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # noqa: BLE001  # raised again by the driver
        error.add_note("".join(traceback.format_tb(error.__traceback__)))
        connection.send(("error", _portable(error)))


def _portable(error: Exception) -> Exception:
    """Return an error that can be sent: itself, or what it said."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    except Exception:  # noqa: BLE001  # whatever its class does
        portable = RuntimeError(f"{type(error).__qualname__}: {error}")
        portable.__notes__ = list(error.__notes__)
        return portable
    return error
