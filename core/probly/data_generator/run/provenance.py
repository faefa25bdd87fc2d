"""Where rows come from: what the metadata records, and what a later run on the same store must share with the first."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from probly.data_generator.discovery.requirements import versions
from probly.data_generator.run.loop import Run

if TYPE_CHECKING:
    from probly.data_generator.generator import FirstOrderDataGenerator


def run_metadata(
    generator: "FirstOrderDataGenerator", run: Run, num_classes: int, class_names: list[str] | None
) -> dict[str, Any]:
    """Return the metadata of a run that has seen its first batch."""
    return {
        "framework": generator.framework,
        "backend": generator.backend.info.name,
        "device": str(run.model.device),
        **_options(run.model),
        "model_name": generator.model_name,
        "output_mode": "transform" if generator.output_transform else run.output_mode,
        **_transform(generator.output_transform),
        "num_classes": num_classes,
        "class_names": class_names,
        "versions": dict(versions(generator.backend.info.distribution)),
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
    }


def run_identity(
    generator: "FirstOrderDataGenerator", dataset: Any, model: Any, class_names: Sequence[Any] | None, keys: Any
) -> dict[str, Any]:
    """Return what a later run must have in common with this one to go on with its store.

    Batch size, workers and device are not part of it: they do not change what a row means.
    """
    from probly.data_generator.store import fingerprint  # noqa: PLC0415  # only runs that stream need it

    backend = generator.backend
    digest = backend.hook.weight_digest(model=model) if backend.has("weight_digest") else None
    return {
        "model": {
            "name": generator.model_name,
            "type": fingerprint.describe_model(generator.model),
            "weights": digest or None,
        },
        **_options(model),
        "dataset": fingerprint.describe_dataset(dataset),
        "class_names": None if class_names is None else [str(name) for name in class_names],
        "output_mode": generator.output_mode,
        "output_transform": fingerprint.describe_function(generator.output_transform),
        "input_getter": fingerprint.describe_function(generator.input_getter),
        "keys": fingerprint.describe_keys(keys),
    }


def _options(model: Any) -> dict[str, Any]:
    options = getattr(model, "options", None)
    return {"options": dict(options)} if options else {}


def _transform(function: Any) -> dict[str, str]:
    return (
        {} if function is None else {"output_transform": getattr(function, "__qualname__", type(function).__qualname__)}
    )
