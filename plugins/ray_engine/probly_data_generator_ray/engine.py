"""The engine ``ray``: a worker is an actor, on whichever node has room for it; see ``engines.contract.Engine``."""

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from probly.data_generator.engines.contract import Job
from probly.data_generator.engines.driver import Driver
from probly.data_generator.errors import StoreError, WorkerError
from probly_data_generator_ray import cluster
from probly_data_generator_ray.actor import Admitted
from probly_data_generator_ray.members import Death, Member, Members
from probly_data_generator_ray.options import Options

SECONDS_TO_PLACE = 30.0
"""After which it is said that a worker waits for room, where there could be some; a process needs a while to start."""
SECONDS_TO_SEE = 60.0
"""After which a network file system shows what other machines have written, however long it remembers."""

ADVICE = (
    "let the path be one that all nodes and the driver see under the same name, of a shared file system or an object "
    "store"
)


def run(job: Job, driver: Driver, workers: int | None, devices: Sequence[str], options: Mapping[str, Any]) -> None:
    """Compute all shards that are missing.

    Args:
        job: What a worker does.
        driver: What is left to do.
        workers: How many; None for one per device, else as many as the cluster has room for.
        devices: Those of the workers, in turn; by default each takes the best that Ray lets it see.
        options: See ``options.Options``.

    Raises:
        ValueError: An option is not known or out of its domain.
        TypeError: The model, the dataset or a function cannot be pickled.
        WorkerError: Workers die, or there is no room for any.
        StoreError: Nodes do not see the same store.
    """
    asked = Options.of(options)
    with cluster.connected(asked.address):
        _advise(job, devices, options)
        count = workers or len(devices) or max(cluster.room(asked), 1)
        names: list[str | None] = list(devices) or [None]
        members = Members(job, asked)
        room, shared = _Room(members, asked), _Shared(job.out)
        try:
            for number in range(count):
                members.start(names[number % len(names)])
            while not driver.done:
                room.check()
                for member in members.heard(1.0):
                    _take(member, members, driver, shared)
                shared.check()
                for member in members.idle():
                    number_of_shard = driver.next(member)
                    if number_of_shard is not None:
                        members.compute(member, number_of_shard)
            shared.check(done=True)
        finally:
            members.leave()


def _take(member: Member, members: Members, driver: Driver, shared: "_Shared") -> None:
    """Take what a worker says, or replace it."""
    try:
        found = members.answer(member)
    except Death as death:
        # A node takes all of its workers with it, which says nothing of those that have not begun.
        of_node = member.place is not None and not cluster.is_alive(member.place.node)
        if not of_node or shared.knows(member):
            driver.lost(member, str(death))
        members.start(member.device)
        return
    if isinstance(found, Admitted):
        shared.admit(member, found.file)
        driver.admitted(found.rows, found.shard_rows, found.missing)
    elif found is not None:
        driver.received(member, found)


def _advise(job: Job, devices: Sequence[str], options: Mapping[str, Any]) -> None:
    """Warn of GPUs that nobody asked Ray for."""
    gpus = sum(node.get("GPU", 0) for node in cluster.nodes())
    if gpus and "num_gpus" not in options and not devices and job.device is None:
        message = (
            f"the cluster has {gpus:g} GPUs, and Ray does not share them out among these workers; set "
            "engine_options={'num_gpus': 1}, or 0 to compute without Ray's care"
        )
        warnings.warn(message, stacklevel=2)


class _Room:
    """Whether workers wait for room in the cluster, and whether there is any hope.

    Args:
        members: The workers.
        options: What each wants.
    """

    def __init__(self, members: Members, options: Options) -> None:
        self._members, self._options = members, options
        self._told = False

    def check(self) -> None:
        """Warn once where a worker waits while others work, and refuse to wait for ever where none does.

        Raises:
            WorkerError: No worker has found room.
        """
        waiting = self._members.waiting()
        if not waiting:
            return
        now, options = time.monotonic(), self._options
        never = bool(options.demand) and not cluster.room(options)
        at_work = len(self._members.all) - len(waiting)
        if not at_work and now - waiting[-1].since >= options.patience:
            message = (
                f"{len(waiting)} workers {cluster.without_room(options)}. Ask for less with engine_options, add nodes, "
                "or wait longer with engine_options={'patience': seconds}; what was published is safe, and the same "
                "call goes on from there"
            )
            raise WorkerError(message)
        if not self._told and (never or now - waiting[0].since >= SECONDS_TO_PLACE):
            self._told = True
            message = f"{len(waiting)} of {at_work + len(waiting)} workers {cluster.without_room(options)}"
            warnings.warn(message, stacklevel=2)


class _Shared:
    """Whether all workers, and the driver, see the same store.

    Args:
        out: The path of the store.
    """

    def __init__(self, out: str) -> None:
        self._out = out
        self._file: str | None = None
        self._first: Member | None = None
        self._since = 0.0
        self._known: set[Member] = set()

    def knows(self, member: Member) -> bool:
        """Return whether a worker was admitted."""
        return member in self._known

    def admit(self, member: Member, file: str) -> None:
        """Compare the store that a worker sees with what the first one saw.

        Raises:
            StoreError: It is another one.
        """
        self._known.add(member)
        if self._first is None:
            self._first, self._file, self._since = member, file, time.monotonic()
        elif file != self._file:
            message = (
                f"{self._out}: {self._first} and {member} have each begun a store of their own there; "
                f"{ADVICE}. Remove what lies at the path on each node"
            )
            raise StoreError(message)

    def check(self, *, done: bool = False) -> None:
        """Look whether the driver sees the store, too, once it must.

        Raises:
            StoreError: It does not.
        """
        if self._first is None or "://" in self._out or os.path.lexists(self._out):
            return
        while done and time.monotonic() - self._since < SECONDS_TO_SEE and not os.path.lexists(self._out):
            time.sleep(0.2)
        if not os.path.lexists(self._out) and time.monotonic() - self._since >= SECONDS_TO_SEE:
            message = f"{self._out}: {self._first} has begun a store there, which this machine does not see; {ADVICE}"
            raise StoreError(message)
