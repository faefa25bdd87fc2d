"""Where rows come from: what the user asked for, and what the metadata record of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from probly.data_generator.discovery.requirements import versions


@dataclass(frozen=True)
class RunRecord:
    """What a run was asked for, as far as its rows depend on it.

    Attributes:
        framework: The name that the user chose the backend by.
        backend: Its main name.
        distribution: What provides it.
        device: The resolved device.
        model_name: The user's name for the model.
        options: The backend's options that may change the rows.
        output_mode: As asked for.
        output_transform: The user's function, or None.
        input_getter: The user's function, or None.
        class_names: The name of each column, if they are known.
        label_getter: The user's function, or None.
        not_seen: ``"model"`` and ``"dataset"``, where nothing tells them from others; see ``run.identity``.
    """

    framework: str
    backend: str
    distribution: str
    device: str
    model_name: str | None
    options: dict[str, Any]
    output_mode: str
    output_transform: Callable[[Any], Any] | None
    input_getter: Callable[[Any], Any] | None
    class_names: Sequence[Any] | None
    not_seen: Sequence[str] = ()
    label_getter: Callable[[Any], Any] | None = None

    @property
    def model_options(self) -> dict[str, Any]:
        """The entry ``options``, where there are some."""
        return {"options": self.options} if self.options else {}


def run_metadata(
    record: RunRecord, num_classes: int, output_mode: str, class_names: list[str] | None
) -> dict[str, Any]:
    """Return the metadata of a run that has seen its first batch.

    Args:
        record: What it was asked for.
        num_classes: The number of columns.
        output_mode: As decided from the first batch.
        class_names: The name of each column, checked, or None.
    """
    transform = record.output_transform
    named = {} if transform is None else {"output_transform": _name(transform)}
    return {
        "framework": record.framework,
        "backend": record.backend,
        "device": record.device,
        **record.model_options,
        "model_name": record.model_name,
        "output_mode": "transform" if transform else output_mode,
        **named,
        "num_classes": num_classes,
        "class_names": class_names,
        **({"not_seen": list(record.not_seen)} if record.not_seen else {}),
        "versions": dict(versions(record.distribution)),
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
    }


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
