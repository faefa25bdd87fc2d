"""What an engine is: an object that starts workers, wherever they run, and hands them the numbers of shards.

It is named by an entry point of the group ``probly.data_generator.engines``; a module with the function will do.
Nobody needs to ask us. It needs to know nothing of models and stores: a shard may be computed twice, or by a worker
that was thought dead, and is published once.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from probly.data_generator.engines.driver import Driver
from probly.data_generator.run.worker import Worker


@dataclass(frozen=True)
class Job:
    """All that a worker needs; it is pickled on its way there.

    Attributes:
        make: Makes the generator: its class.
        arguments: The arguments of ``make``, without ``device``.
        device: The generator's device, for workers that are given none.
        dataset: What it runs over.
        out: The path of the file.
        options: How the format is to keep the rows.
        keep: What is kept beside them.
        tolerance: How far a worker's first rows may be from those that the file was begun with; None for any.
    """

    make: Callable[..., Any]
    arguments: Mapping[str, Any]
    device: str | None
    dataset: Any
    out: str
    options: Mapping[str, Any]
    keep: Sequence[str]
    tolerance: float | None

    def start(self, device: str | None = None) -> AbstractContextManager[Worker]:
        """Load the model and give a worker that was admitted, within a block.

        Called once in each worker, wherever it runs.

        Args:
            device: Where the model runs; None for the generator's own choice.
        """
        generator = self.make(device=device or self.device, **self.arguments)
        worker: AbstractContextManager[Worker] = generator.worker(
            self.dataset, self.out, dict(self.options), self.keep, self.tolerance
        )
        return worker


class Engine(Protocol):
    """Starts workers and hands out shards."""

    def run(
        self, job: Job, driver: Driver, workers: int | None, devices: Sequence[str], options: Mapping[str, Any]
    ) -> None:
        """Compute all shards that are missing.

        Called by ``generate_distributions(..., engine=name)``. Each worker enters ``job.start(device)``, tells the
        driver what it found (``driver.admitted``), and computes one shard after the other: ``driver.next`` says which,
        ``driver.received`` takes the receipt that ``worker.compute`` returned, ``driver.lost`` is told of a worker
        that died. An error of a worker ends the run; what was published stays.

        Args:
            job: What a worker does; to be pickled to it.
            driver: What is left to do.
            workers: How many are wanted, or None for as many as the engine finds right.
            devices: Those of the workers, in turn; empty for the generator's own choice.
            options: ``engine_options``, whatever the engine knows by name.

        Raises:
            ValueError: An option is not known or out of its domain.
        """
