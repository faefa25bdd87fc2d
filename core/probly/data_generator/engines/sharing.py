"""Filling a file by several workers: what was asked for, and the two ways to do it, with a driver and without."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Self

from probly.data_generator.distributions import Distributions
from probly.data_generator.engines.choosing import find_engine
from probly.data_generator.engines.contract import Job
from probly.data_generator.engines.driver import Driver
from probly.data_generator.formats import choosing
from probly.data_generator.run.progress import Callback, Tracker, tracked
from probly.data_generator.run.ranges import Receipt, share_of
from probly.data_generator.run.terminating import terminating
from probly.data_generator.run.worker import Worker
from probly.data_generator.toolkit.places import place_of


@dataclass(frozen=True)
class Sharing:
    """What was asked for; each is an argument of ``generate_distributions``, and described there.

    ``engine`` is None for a worker without a driver, of which ``share`` says which it is.
    """

    engine: str | None = None
    workers: int | None = None
    devices: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    share: tuple[int, int] = (0, 1)
    tolerance: float = 0.0

    @classmethod
    def of(
        cls,
        workers: int | None,
        devices: Sequence[str] | None,
        share: tuple[int, int] | None,
        engine: str | None,
        options: Mapping[str, Any] | None,
        shard_rows: int | None,
        tolerance: float,
    ) -> Self | None:
        """Return what was asked for, checked; None if nothing was.

        Raises:
            ValueError: An argument is out of its domain, or two exclude each other.
            TypeError: ``devices`` is no list.
        """
        if isinstance(devices, str) or not isinstance(devices, Sequence | None):
            message = f"devices: expected a list of names, got {devices!r}"
            raise TypeError(message)
        _check_number("workers", workers, least=1)
        _check_number("shard_rows", shard_rows, least=1)
        if not isinstance(tolerance, Real) or not 0 <= tolerance < 1:  # NaN, too
            message = f"tolerance: expected a number from 0 to 1, got {tolerance!r}"
            raise ValueError(message)
        driven = [name for name, value in {"workers": workers, "devices": devices, "engine": engine}.items() if value]
        if share is not None and driven:
            message = f"share: is for processes that you start yourself; leave out {', '.join(driven)}, or share"
            raise ValueError(message)
        if options and not engine:
            message = "engine_options: say which engine they are for; set engine"
            raise ValueError(message)
        if not driven and share is None and shard_rows is None:
            if tolerance:
                message = "tolerance: is for workers that share a store; set workers, share, engine or shard_rows"
                raise ValueError(message)
            return None
        engine = engine or ("processes" if driven else None)
        return cls(engine, workers, list(devices or ()), dict(options or {}), _checked_share(share), tolerance)


def _check_number(name: str, value: Any, *, least: int) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        message = f"{name}: expected a whole number of at least {least}, got {value!r}"
        raise ValueError(message)


def _checked_share(share: Any) -> tuple[int, int]:
    if share is None:
        return 0, 1
    whole = isinstance(share, tuple | list) and len(share) == 2 and all(type(part) is int for part in share)
    if not whole or not 0 <= share[0] < share[1]:
        message = f"share: expected (i, n) with i from 0 to n - 1, got {share!r}"
        raise ValueError(message)
    return share[0], share[1]


StartHere = Callable[..., AbstractContextManager[Worker]]


def fill(sharing: Sharing, job: Job, start_here: StartHere, progress: bool | Callback) -> Distributions:
    """Compute what is missing of a file, and complete it.

    Args:
        sharing: Who computes.
        job: What each worker does.
        start_here: Starts a worker in this process, whose model is loaded already; see ``generator.worker``.
        progress: What shows how far it is, shard by shard.
    """
    form = choosing.sharing(job.out)
    with terminating():
        if sharing.engine is not None:
            receipts = _with_driver(sharing, sharing.engine, job, progress)
        else:
            with start_here(job.dataset, job.out, dict(job.options), job.keep, job.tolerance) as worker:
                receipts = _without_driver(worker, sharing.share, progress)
        found: Distributions = form.finish(place_of(job.out), receipts)
    return found


def _without_driver(worker: Worker, share: tuple[int, int], progress: bool | Callback) -> list[Receipt]:
    """Compute a share of the shards, then those that are still missing, which are perhaps nobody's any more."""
    ranges, receipts = worker.ranges, []
    own, missing = share_of(share, ranges.shards), ranges.missing()
    with _Shown(progress) as shown:
        shown.started(ranges.rows, ranges.rows - sum(len(ranges.range(number)) for number in missing))

        def compute(number: int) -> None:
            receipts.append(worker.compute(number))
            shown.received(receipts[-1])

        for number in missing:
            if number in own:
                compute(number)
        while missing := ranges.missing():
            # Others go through their shares from the front, so the end of what is missing is met by the fewest.
            compute(missing[-1 - share[0] % len(missing)])
    return receipts


def _with_driver(sharing: Sharing, name: str, job: Job, progress: bool | Callback) -> list[Receipt]:
    engine = find_engine(name)
    with _Shown(progress) as shown:
        driver = Driver(shown.started, shown.received)
        engine.run(job, driver, sharing.workers, sharing.devices, sharing.options)
    return driver.receipts


class _Shown:
    """The progress of a shared run, whose length is known only when its first worker was admitted."""

    def __init__(self, progress: bool | Callback) -> None:
        self.progress, self.safe = progress, 0
        self.tracker: Tracker | None = None

    def started(self, rows: int, there: int) -> None:
        """Begin to show it; some rows are there already."""
        self.safe = there
        self.tracker = tracked(rows, self.progress, lambda: self.safe)
        self.tracker.skip(there)

    def received(self, receipt: Receipt) -> None:
        """Count the rows of a shard."""
        self.safe += receipt.rows
        if self.tracker is not None:
            self.tracker.update(receipt.rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        if self.tracker is not None:
            self.tracker.__exit__(*ended)  # type: ignore[arg-type]  # as it got them
