"""The other side of ``check_backend``: asks one backend what needs no model, in a process that may crash."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.discovery.listing import BackendInfo, find_backend
from probly.data_generator.discovery.loading import Backend, load_backend
from probly.data_generator.discovery.requirements import required_modules
from probly.data_generator.errors import BackendError
from probly.data_generator.hookspecs import HOST

INPUTS = np.arange(10, dtype=np.float32).reshape(5, 2)
LABELS = np.arange(5)


def answer(name: str) -> None:
    """Print the devices and the problems of a backend to standard output as JSON, and nothing else."""
    # Plugins and frameworks may print while they are imported, also from C: that goes to standard error.
    out = os.dup(1)
    os.dup2(2, 1)
    devices: list[str] = []
    problems: list[str] = []
    try:
        info = find_backend(name)
        backend = load_backend(info)
    except BackendError as error:
        problems.append(str(error))
    else:
        # In this order: no framework may have been imported when the first one is asked.
        for hook, ask in ASKED.items():
            if not backend.has(hook):
                continue
            try:
                ask(backend, info)
                if hook == "available_devices":
                    devices = list(backend.hook.available_devices())
            except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever the plugin and its framework raise
                problems.append(f"hook {hook} failed: {type(error).__name__}: {error}")
    os.write(out, json.dumps({"devices": devices, "problems": problems}).encode())
    sys.stderr.flush()
    # Frameworks may crash or hang while they shut down, which is nobody's concern here.
    os._exit(0)


def _recognizes(backend: Backend, info: BackendInfo) -> None:
    """Ask for objects and files of nobody, which every user's model passes on its way to its own backend."""
    with _light(info):
        _ask_for_foreigners(backend)


def _ask_for_foreigners(backend: Backend) -> None:
    for foreign in (object(), Path("file.of-nobody"), Path("folder-of-nobody")):
        found = backend.hook.recognizes(source=foreign)
        if found is not None and found is not False:
            message = f"expected False for {foreign!r}, which is nobody's, got {found!r}"
            raise ValueError(message)


def _choices(backend: Backend, info: BackendInfo) -> None:
    """Ask what users can choose from, which a shell does that completes a line."""
    with _light(info):
        found: Any = backend.hook.choices()
    fine = isinstance(found, Mapping) and all(isinstance(name, str) for name in found)
    if not fine or not all(isinstance(part, Collection) and not isinstance(part, str) for part in found.values()):
        message = f"expected the allowed values of each option by its name, got {found!r}"
        raise TypeError(message)


@contextlib.contextmanager
def _light(info: BackendInfo) -> Iterator[None]:
    """Refuse a block that imports the framework."""
    before = set(sys.modules)
    yield
    imported = {module.partition(".")[0].lower() for module in set(sys.modules) - before}
    heavy = sorted(imported & (required_modules(info.distribution) - {"numpy"}))
    if heavy:
        message = (
            f"it imports {', '.join(heavy)}, for which all would wait; answer from names, as of classes and modules"
        )
        raise ImportError(message)


def _available_devices(backend: Backend, info: BackendInfo) -> None:  # noqa: ARG001
    devices: Any = backend.hook.available_devices()
    if not isinstance(devices, list | tuple) or not all(isinstance(device, str) for device in devices):
        message = f"expected a list of names, got {devices!r}"
        raise TypeError(message)


def _to_device(backend: Backend, info: BackendInfo) -> None:  # noqa: ARG001
    """Ask for NumPy arrays in a nest, which every backend has to take."""
    moved: Any = backend.hook.to_device(data={"part": (INPUTS, "text"), "labels": [LABELS]}, device=HOST)
    try:
        (inputs, text), (labels,) = moved["part"], moved["labels"]
    except (TypeError, KeyError, ValueError, IndexError):
        moved_well = False
    else:
        kinds = (type(moved["part"]), type(moved["labels"]), text, type(inputs), type(labels))
        moved_well = kinds == (tuple, list, "text", np.ndarray, np.ndarray)
        moved_well = moved_well and np.array_equal(inputs, INPUTS) and np.array_equal(labels, LABELS)
    if not moved_well:
        message = f"expected the same nest with NumPy arrays on {HOST!r}, got {moved!r}"
        raise ValueError(message)


def _iterate_batches(backend: Backend, info: BackendInfo) -> None:  # noqa: ARG001
    """Ask for five rows in batches of two, whole and in part, if it does not look at the model."""
    implementations = backend.hook.iterate_batches.get_hookimpls()
    if any("model" in implementation.argnames for implementation in implementations):
        return
    nothing: Any = dict.fromkeys(("input_getter", "index_getter", "label_getter", "batched", "model"))
    for start, stop in ((0, None), (2, None), (2, 3)):
        batches = backend.hook.iterate_batches(
            dataset=(INPUTS, LABELS), batch_size=2, start=start, stop=stop, **nothing
        )
        if batches is None:
            message = "expected an iterator, got None"
            raise TypeError(message)
        found = [row for batch in batches for row in _rows(backend, batch)]
        end = len(INPUTS) if stop is None else stop
        if found not in ([*range(end)], [*range(start, end)]):
            message = f"expected the rows {start} to {end - 1} with start={start} and stop={stop}, got {found}"
            raise ValueError(message)


def _rows(backend: Backend, batch: Any) -> Iterator[int]:
    """Yield the indices of a batch, after its inputs and labels were compared with theirs."""
    indices = np.asarray(batch.indices)
    inputs, columns = backend.hook.to_device(data=(batch.inputs, dict(batch.columns)), device=HOST)
    right = set(columns) == {"labels"} and np.array_equal(columns["labels"], LABELS[indices])
    if not right or not np.array_equal(inputs, INPUTS[indices]):
        message = f"expected the inputs and labels of the rows {indices.tolist()}, got {inputs!r} and {columns!r}"
        raise ValueError(message)
    yield from indices.tolist()


def _is_out_of_memory(backend: Backend, info: BackendInfo) -> None:  # noqa: ARG001
    found: Any = backend.hook.is_out_of_memory(error=ValueError("bad input"))
    if found is None or found:
        message = f"expected False for a ValueError, got {found!r}"
        raise ValueError(message)


def _data_digest(backend: Backend, info: BackendInfo) -> None:  # noqa: ARG001
    found: Any = backend.hook.data_digest(dataset=object())
    if found is not None:
        message = f"expected None for an object of nobody's, got {found!r}"
        raise ValueError(message)


ASKED: dict[str, Callable[[Backend, BackendInfo], None]] = {
    "recognizes": _recognizes,
    "choices": _choices,
    "available_devices": _available_devices,
    "to_device": _to_device,
    "iterate_batches": _iterate_batches,
    "is_out_of_memory": _is_out_of_memory,
    "data_digest": _data_digest,
}
"""What is asked of each hook that needs no model."""
