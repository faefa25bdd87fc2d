"""The workers of a run, as its driver sees them."""

import contextlib
import os
import re
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import ray
from ray import cloudpickle
from ray.exceptions import RayError, RayTaskError

from probly.data_generator.engines.contract import Job
from probly.data_generator.run.ranges import Receipt
from probly_data_generator_ray.actor import Admitted, Home, Place, RayWorker, Said
from probly_data_generator_ray.options import Options

SECONDS_TO_LEAVE = 5.0
"""What idle workers get to close their models and files, and killed ones to be gone."""
MOST_WORDS = 120
"""How much of Ray's account of a death a message repeats."""

COLOURS = r"\x1b\[\d+m"


@dataclass(eq=False)
class Member:
    """A worker.

    Attributes:
        number: Which; a worker that takes another's place has a number of its own.
        device: Where its model runs.
        actor: Ray's handle.
        pending: What it was told to do, or None where it has nothing to do.
        place: Where it is, or None while it waits for room in the cluster.
        since: When it began to wait.
    """

    number: int
    device: str | None
    actor: Any
    pending: Any
    place: Place | None = None
    since: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        """Name it in messages."""
        if self.place is None:
            return f"worker {self.number}"
        return f"worker {self.number} (process {self.place.process} on node {self.place.address})"


class Death(Exception):  # noqa: N818  # it ends a worker, not the run
    """A worker died; it says what is known of it."""


class Members:
    """Starts workers, tells them what to do, and hears what they answer.

    Args:
        job: What each of them does; it is put into the cluster once.
        options: What each of them gets of the cluster.

    Raises:
        TypeError: The model, the dataset or a function cannot be pickled.
    """

    def __init__(self, job: Job, options: Options) -> None:
        if "://" not in job.out:  # the others have a folder of their own
            job = replace(job, out=os.path.abspath(job.out))  # noqa: PTH100  # links stay: other nodes may have others
        self._job = self._put(
            "a function, the model or an option", lambda: cloudpickle.dumps(replace(job, dataset=None))
        )
        # Ray has arrays in memory once per node, and nobody can write to them; objects of the user's own may want to.
        shared = are_arrays(job.dataset)
        self._dataset = self._put("the dataset", lambda: job.dataset if shared else cloudpickle.dumps(job.dataset))
        self._home = None if "working_dir" in (options.runtime_env or {}) else Home.of_this_process()
        self._new_actor = ray.remote(RayWorker).options(**options.of_actor()).remote
        self._started = 0
        self._told: set[tuple[type, str]] = set()
        self.all: list[Member] = []

    @staticmethod
    def _put(what: str, make: Any) -> Any:
        try:
            return ray.put(make())
        except Exception as error:
            message = f"{what} cannot be sent to workers: {type(error).__name__}: {error}"
            raise TypeError(message) from error

    def start(self, device: str | None) -> None:
        """Start a worker, as soon as there is room for it."""
        actor = self._new_actor()
        self.all.append(Member(self._started, device, actor, actor.place.remote()))
        self._started += 1

    def waiting(self) -> list[Member]:
        """Return those that wait for room, the first one first."""
        return [member for member in self.all if member.place is None]

    def idle(self) -> list[Member]:
        """Return those that have nothing to do."""
        return [member for member in self.all if member.pending is None]

    def compute(self, member: Member, number: int) -> None:
        """Tell an idle worker which shard to compute."""
        member.pending = member.actor.compute.remote(number)

    def heard(self, seconds: float) -> list[Member]:
        """Wait until workers have something to say, but not for long."""
        pending = {member.pending: member for member in self.all if member.pending is not None}
        ready: Sequence[Any] = ray.wait(list(pending), num_returns=1, timeout=seconds)[0] if pending else []
        return [pending[reference] for reference in ready]

    def answer(self, member: Member) -> Admitted | Receipt | None:
        """Take what a worker says; None if it has just been given its place, and begins.

        Raises:
            Death: It died.
            Exception: Whatever it raised.
        """
        try:
            said: Said = ray.get(member.pending)
        except RayTaskError as error:
            with contextlib.suppress(RayError):
                self._warn(ray.get(member.actor.warned.remote(), timeout=SECONDS_TO_LEAVE))
            raised: Exception = error.cause if isinstance(error.cause, Exception) else error
            raised.add_note(f"raised in {member}:\n{re.sub(COLOURS, '', str(error)).strip()}")
            raise raised from None
        except RayError as error:
            self.all.remove(member)
            _kill(member)
            message = f"{member} died: {_in_short(error)}"
            raise Death(message) from error
        member.pending = None
        self._warn(said.warned)
        if isinstance(said.found, Place):
            member.place = said.found
            member.pending = member.actor.start.remote(self._job, self._dataset, member.device, self._home)
            return None
        return said.found

    def _warn(self, warned: Sequence[Warning]) -> None:
        """Warn of what workers have warned of, once for all of them."""
        for message in warned:
            if (type(message), str(message)) not in self._told:
                self._told.add((type(message), str(message)))
                warnings.warn(message, stacklevel=2)

    def leave(self) -> None:
        """End all; those that are busy compute what is there already, or what nobody wants any more."""
        leaving = [member.actor.leave.remote() for member in self.idle()]
        if leaving:
            ray.wait(leaving, num_returns=len(leaving), timeout=SECONDS_TO_LEAVE)
        for member in self.all:
            _kill(member)
        busy = [member.pending for member in self.all if member.pending is not None]
        if busy:  # until they are gone, they may write
            ray.wait(busy, num_returns=len(busy), timeout=SECONDS_TO_LEAVE)


def are_arrays(dataset: Any) -> bool:
    """Return whether a dataset is nothing but NumPy's arrays.

    Examples:
        >>> are_arrays((np.zeros(3), {"label": np.zeros(3)})), are_arrays([np.zeros(3), "a"]), are_arrays([])
        (True, False, False)
    """
    if isinstance(dataset, tuple | list | dict):
        parts = list(dataset.values() if isinstance(dataset, dict) else dataset)
        return bool(parts) and all(map(are_arrays, parts))
    return type(dataset) is np.ndarray


def _kill(member: Member) -> None:
    with contextlib.suppress(RayError, ValueError):  # it is gone
        ray.kill(member.actor)


def _in_short(error: RayError) -> str:
    """Return what Ray says, in one line, from where it tells the cause."""
    text = " ".join(str(error).split())
    words = text[max(text.find("The actor "), 0) :].split()
    return " ".join(
        words if len(words) <= MOST_WORDS else [*words[: MOST_WORDS // 3], "...", *words[-MOST_WORDS * 2 // 3 :]]
    )
