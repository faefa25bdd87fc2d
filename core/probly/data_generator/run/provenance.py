"""Where rows come from: what the user asked for, and what the metadata record of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from probly.data_generator.discovery.loading import Backend
from probly.data_generator.discovery.requirements import versions
from probly.data_generator.run.passes import Passes
from probly.data_generator.toolkit.trust import TRUST


@dataclass(frozen=True)
class Request:
    """What a model was asked for; each is an argument of ``FirstOrderDataGenerator``, and described there."""

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
    members: bool
    passes: Passes | None

    def options_of(self, model: Any) -> dict[str, Any]:
        """Return the options that may change the rows, as the entry ``options``, where there are some."""
        options = {**(getattr(model, "options", None) or {})}
        options.pop(TRUST, None)  # who vouches for a file changes no row of it
        if self.input_dtype is not None:
            options["input_dtype"] = self.input_dtype
        return {"options": options} if options else {}


@dataclass(frozen=True)
class Loaded:
    """One model of a run.

    Attributes:
        request: What the user asked of it.
        backend: The hooks.
        source: The model as the user gave it.
        model: What ``load_model`` made of it.
    """

    request: Request
    backend: Backend
    source: Any
    model: Any

    @property
    def has_members(self) -> bool:
        """Whether it gives more than one distribution per sample, or is asked for them."""
        return self.request.passes is not None or self.returns_members

    @property
    def returns_members(self) -> bool:
        """Whether its outputs have an axis of members, as the user says or the backend knows."""
        return self.request.members or bool(getattr(self.model, "members", False))


def run_metadata(
    loaded: Sequence[Loaded],
    num_classes: int,
    output_mode: str,
    class_names: list[str] | None,
    unseen: Sequence[str] | None,
    members: int | None,
) -> dict[str, Any]:
    """Return the metadata of a run that has seen its first batch.

    Args:
        loaded: The models.
        num_classes: The number of columns.
        output_mode: As decided from the first batch.
        class_names: The name of each column, checked, or None.
        unseen: ``"model"`` and ``"dataset"``, where nothing tells them from others; see ``run.identity``.
        members: How many each row is the mean of, where members were asked for.
    """
    first = loaded[0]
    found: dict[str, str] = {}
    for one in loaded:
        found |= versions(one.backend.info.distribution)
    return {
        **_model_metadata(first, output_mode),
        **({"models": [_model_metadata(one, None) for one in loaded]} if len(loaded) > 1 else {}),
        **({} if members is None else {"members": members}),
        "num_classes": num_classes,
        "class_names": class_names,
        **({"not_seen": list(unseen)} if unseen else {}),
        "versions": found,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
    }


def _model_metadata(loaded: Loaded, output_mode: str | None) -> dict[str, Any]:
    request, transform = loaded.request, loaded.request.output_transform
    mode, passes = "transform" if transform else output_mode, request.passes
    return {
        "framework": request.framework,
        "backend": loaded.backend.info.name,
        "device": str(loaded.model.device),
        **request.options_of(loaded.model),
        "model_name": request.model_name,
        **({} if mode is None else {"output_mode": mode}),
        **({} if transform is None else {"output_transform": _name(transform)}),
        **({} if passes is None else {"passes": passes.count, "seed": passes.seed}),
    }


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
