"""Where rows come from: what the user asked for, and what the metadata record of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from probly.data_generator.discovery.loading import Backend
from probly.data_generator.discovery.requirements import versions
from probly.data_generator.toolkit.trust import TRUST


@dataclass(frozen=True)
class Request:
    """What a run was asked for; each is an argument of ``FirstOrderDataGenerator``, and described there."""

    framework: str
    batch_size: int
    batched: bool | None
    input_dtype: str | None
    input_getter: Callable[[Any], Any] | None
    index_getter: Callable[[Any], Any] | None
    label_getter: Callable[[Any], Any] | None
    output_mode: str
    output_transform: Callable[[Any], Any] | None
    class_names: Sequence[Any] | None
    model_name: str | None

    def options_of(self, model: Any) -> dict[str, Any]:
        """Return the options that may change the rows, as the entry ``options``, where there are some."""
        options = {**(getattr(model, "options", None) or {})}
        options.pop(TRUST, None)  # who vouches for a file changes no row of it
        if self.input_dtype is not None:
            options["input_dtype"] = self.input_dtype
        return {"options": options} if options else {}


def run_metadata(
    request: Request,
    backend: Backend,
    model: Any,
    num_classes: int,
    output_mode: str,
    class_names: list[str] | None,
    unseen: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the metadata of a run that has seen its first batch.

    Args:
        request: What it was asked for.
        backend: The hooks.
        model: What ``load_model`` returned.
        num_classes: The number of columns.
        output_mode: As decided from the first batch.
        class_names: The name of each column, checked, or None.
        unseen: ``"model"`` and ``"dataset"``, where nothing tells them from others; see ``run.identity``.
    """
    transform = request.output_transform
    named = {} if transform is None else {"output_transform": _name(transform)}
    return {
        "framework": request.framework,
        "backend": backend.info.name,
        "device": str(model.device),
        **request.options_of(model),
        "model_name": request.model_name,
        "output_mode": "transform" if transform else output_mode,
        **named,
        "num_classes": num_classes,
        "class_names": class_names,
        **({"not_seen": list(unseen)} if unseen else {}),
        "versions": dict(versions(backend.info.distribution)),
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
    }


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
