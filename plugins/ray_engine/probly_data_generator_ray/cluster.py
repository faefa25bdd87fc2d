"""The cluster: joined or started, and what room it has."""

import contextlib
import math
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ray

from probly_data_generator_ray.options import Options


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to a cluster within a block: one that is running, or one that is started here and ends with it.

    Args:
        address: See ``options.Options``.

    Raises:
        ValueError: This process is connected already, and an address was given.
        ConnectionError: There is no cluster at the address.
    """
    if ray.is_initialized():
        if address is not None:
            message = (
                "engine_options: address: this process is connected to a Ray cluster already, which is used as it is; "
                "leave address out, or call ray.shutdown() before"
            )
            raise ValueError(message)
        yield
        return
    joined = address or os.environ.get("RAY_ADDRESS") or "local"
    # Without its dashboard, Ray starts faster and opens fewer ports. Errors and warnings of workers reach us without
    # its logger; what they print is in Ray's folder of logs on each node.
    further: dict[str, Any] = {"include_dashboard": False} if joined == "local" else {}
    if joined == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    with _signals_kept():
        ray.init(address=joined, logging_level="error", log_to_driver=False, **further)
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Let SIGTERM do after the block what it did before; Ray would take it from whoever waits for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def nodes() -> Sequence[Mapping[str, float]]:
    """Return what each living node has in all, by Ray's names."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def is_alive(node: str) -> bool:
    """Return whether a node is, as far as Ray knows."""
    return any(found["Alive"] for found in ray.nodes() if found["NodeID"] == node)


def room(options: Options) -> int:
    """Return how many workers the cluster has room for, if it has nothing else to do.

    Raises:
        ValueError: They want nothing that the cluster has a limited number of.
    """
    demand = options.demand
    if not demand:
        message = "workers: say how many; they want no processors and no GPUs, so any number would fit"
        raise ValueError(message)
    return sum(
        min(math.floor(found.get(name, 0) / amount + 1e-9) for name, amount in demand.items()) for found in nodes()
    )


def without_room(options: Options) -> str:
    """Say that workers wait: what each wants, and what the cluster has."""
    wanted = _listed(options.demand) or "nothing"
    found = nodes()
    fits = not options.demand or room(options)
    why = "those that have as much are busy, or are still preparing for it" if fits else "none of them has as much"
    each = "; ".join(sorted({_listed(_of_interest(node, options)) or "none of it" for node in found}))
    free = _listed(_of_interest(ray.available_resources(), options)) or "nothing"
    return (
        f"wait for room in the cluster: each wants {wanted}, and the cluster has {len(found)} "
        f"{'node' if len(found) == 1 else 'nodes'} with {each}, of which {free} is free in all; {why}"
    )


def _of_interest(found: Mapping[str, float], options: Options) -> dict[str, float]:
    names = ("CPU", "GPU", *(name for name in options.demand if name not in ("CPU", "GPU")))
    return {name: found[name] for name in names if found.get(name)}


def _listed(amounts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {amount:g}" for name, amount in amounts.items())
