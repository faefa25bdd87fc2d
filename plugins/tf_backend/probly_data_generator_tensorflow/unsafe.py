"""What a file of Keras does beyond its own numbers, though Keras opens it in safe mode: found before it is opened.

Safe mode refuses code in a file. It lets a file name any function of Keras but for a list of known harm, with arguments
in a Lambda layer; with Keras 3.15 one writes pictures to a path, others download. HDF5 can have parts in other files.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HARMLESS = ("activations", "constraints", "initializers", "losses", "metrics", "ops", "regularizers")
"""The modules of Keras whose functions compute and do nothing else."""


def asks_for_more(path: Path) -> bool:
    """Return whether a file names functions of Keras that may do more than compute, or has parts in other files.

    Args:
        path: A ``.keras`` or an HDF5 file.
    """
    config = _config(path)
    return any(map(_may_do_harm, _objects(config))) or (path.suffix != ".keras" and _has_parts_elsewhere(path))


def _config(path: Path) -> Any:
    """Return the configuration of a model, or None where Keras will say what is wrong with it."""
    import h5py  # type: ignore[import-untyped]  # only where a file is opened; Keras requires it

    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        with h5py.File(path, "r") as file:
            return json.loads(file.attrs["model_config"])
    except (KeyError, ValueError, TypeError, OSError):
        return None


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every description of an object."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class_name" in part:
                yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _may_do_harm(described: dict[str, Any]) -> bool:
    name = described.get("config" if described["class_name"] == "function" else "class_name")
    parts = f"{described.get('module')}.{name}".split(".")
    if parts[0] != "keras":
        return False  # Keras finds it where the user has registered it, or not at all
    # The names of functions have small letters, but for those that make ready models.
    return parts[1] == "applications" or (parts[-1][:1].islower() and parts[1] not in HARMLESS)


def _has_parts_elsewhere(path: Path) -> bool:
    import h5py

    def linked(_: str, link: Any) -> bool | None:
        return True if isinstance(link, h5py.ExternalLink) else None  # None: look on

    def stored(_: str, part: Any) -> bool | None:
        return True if isinstance(part, h5py.Dataset) and (part.external or part.is_virtual) else None

    with h5py.File(path, "r") as file:
        return bool(file.visititems_links(linked) or file.visititems(stored))
