"""A worker in its own process, on whichever node Ray has put it."""

import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import ray
from ray import cloudpickle

from probly.data_generator.run.ranges import Receipt

if TYPE_CHECKING:
    from probly.data_generator.engines.contract import Job
    from probly.data_generator.run.worker import Worker


class Place(NamedTuple):
    """Where a worker is."""

    node: str
    address: str
    process: int


class Home(NamedTuple):
    """Where a process looks for files and modules."""

    folder: str
    path: Sequence[str]

    @classmethod
    def of_this_process(cls) -> "Home":
        """Return it."""
        return cls(os.getcwd(), [os.path.abspath(part) for part in sys.path])  # noqa: PTH100, PTH109

    def enter(self) -> None:
        """Look there, too, as far as this node has it; what is installed here comes first."""
        with contextlib.suppress(OSError):
            os.chdir(self.folder)
        sys.path += [part for part in self.path if part not in sys.path]


class Admitted(NamedTuple):
    """What a worker found when it was admitted; see ``engines.driver.Driver``."""

    rows: int
    shard_rows: int
    missing: Sequence[int]
    file: str


class Said(NamedTuple):
    """What a worker was asked for, and what it warned of meanwhile."""

    found: Place | Admitted | Receipt
    warned: Sequence[Warning]


class RayWorker:
    """Computes the shards that it is told to; an actor of Ray is made of it."""

    def __init__(self) -> None:
        self._left = contextlib.ExitStack()
        self._worker: Worker | None = None
        self._warnings: list[Warning] = []
        warnings.showwarning = self._keep  # type: ignore[assignment]  # the process is ours

    def _keep(self, message: Warning | str, category: type[Warning], *rest: Any) -> None:  # noqa: ARG002
        self._warnings.append(message if isinstance(message, Warning) else category(message))

    def place(self) -> Said:
        """Return where this is, as soon as it is anywhere."""
        return self._say(Place(ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address(), os.getpid()))

    def start(self, payload: bytes, dataset: Any, device: str | None, home: Home | None) -> Said:
        """Load the model and be admitted.

        Args:
            payload: The job, pickled, without its dataset.
            dataset: What it runs over, pickled, or arrays, which are Ray's own and read-only.
            device: Where the model runs.
            home: That of the driver, for relative paths and modules that are not installed; None to stay here.
        """
        if home is not None:
            home.enter()
        dataset = cloudpickle.loads(dataset) if isinstance(dataset, bytes) else dataset
        job: Job = replace(cloudpickle.loads(payload), dataset=dataset)
        self._worker = self._left.enter_context(job.start(device))
        ranges = self._worker.ranges
        return self._say(Admitted(ranges.rows, max(len(ranges.range(0)), 1), ranges.missing(), ranges.id))

    def compute(self, number: int) -> Said:
        """Compute a shard and publish it."""
        assert self._worker is not None
        return self._say(self._worker.compute(number))

    def _say(self, found: Place | Admitted | Receipt) -> Said:
        return Said(found, self.warned())

    def warned(self) -> list[Warning]:
        """Return what was warned of since the last time; asked for after an error, which cannot bring it along."""
        told, self._warnings = self._warnings, []
        return told

    def leave(self) -> None:
        """Close the model and the files."""
        self._left.close()
