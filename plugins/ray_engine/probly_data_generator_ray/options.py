"""What ``engine_options`` may say to the engine ``ray``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True)
class Options:
    """What each worker gets of the cluster, and which cluster.

    Attributes:
        address: That of a running cluster, as ``ray.init`` takes it; ``"auto"`` is the one that was started on this
            machine. None joins the one that the environment variable ``RAY_ADDRESS`` names, else starts Ray here.
        num_cpus: The processors of each worker.
        num_gpus: The GPUs of each worker; Ray lets it see no others. A fraction lets workers share one.
        memory: The bytes of memory that each worker is given room for.
        resources: Further resources of each worker, by the names that the nodes of the cluster have given them.
        runtime_env: What Ray prepares on each node, such as ``{"pip": [...]}`` or ``{"env_vars": {...}}``.
        scheduling_strategy: How Ray spreads the workers over the nodes, such as ``"SPREAD"``.
        patience: For how many seconds the run waits for room in the cluster while it has no worker at all; what Ray
            needs to add a node, and to prepare a ``runtime_env`` on it, counts.

    Examples:
        >>> Options.of({"num_gpus": 1, "resources": {"a100": 1}}).demand
        {'CPU': 1, 'GPU': 1, 'a100': 1}
    """

    address: str | None = None
    num_cpus: float = 1
    num_gpus: float = 0
    memory: float = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    runtime_env: Mapping[str, Any] | None = None
    scheduling_strategy: Any = None
    patience: float = 300.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Return the options of a run, checked; what Ray knows better is left to Ray.

        Raises:
            ValueError: One is not known, or a number is none.
            TypeError: ``resources`` are no mapping.
        """
        known = [part.name for part in fields(cls)]
        unknown = sorted(options.keys() - set(known))
        if unknown:
            message = f"engine_options: the engine 'ray' knows {', '.join(known)}, got {', '.join(unknown)}"
            raise ValueError(message)
        found = cls(**options)
        if not isinstance(found.address, str | None) or found.address == "":
            message = f"engine_options: address: expected the address of a cluster, got {found.address!r}"
            raise ValueError(message)
        if not isinstance(found.resources, Mapping):
            message = f"engine_options: resources: expected a number for each name, got {found.resources!r}"
            raise TypeError(message)
        numbers = {name: getattr(found, name) for name in ("num_cpus", "num_gpus", "memory", "patience")}
        for name, value in {**numbers, **found.resources}.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0:
                message = f"engine_options: {name}: expected a number of at least 0, got {value!r}"
                raise ValueError(message)
        return found

    @property
    def demand(self) -> dict[str, float]:
        """What each worker takes of a node, by Ray's names."""
        asked = {"CPU": self.num_cpus, "GPU": self.num_gpus, "memory": self.memory, **self.resources}
        return {name: amount for name, amount in asked.items() if amount}

    def of_actor(self) -> dict[str, Any]:
        """Return what Ray's ``options`` of an actor gets."""
        asked = {
            "num_cpus": self.num_cpus, "num_gpus": self.num_gpus, "memory": self.memory,
            "resources": dict(self.resources), "runtime_env": self.runtime_env and dict(self.runtime_env),
            "scheduling_strategy": self.scheduling_strategy,
        }  # fmt: skip
        # One that dies is replaced by us, at once and perhaps elsewhere; its shard is handed out again.
        return {**{name: value for name, value in asked.items() if value}, "max_restarts": 0, "max_task_retries": 0,
                "num_cpus": self.num_cpus}  # fmt: skip
