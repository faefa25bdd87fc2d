"""The other side of ``check_backend``: loads one backend in a process that may crash, and prints what it found."""

import json
import os
import sys
from typing import Any

from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import Backend, load_backend
from probly.data_generator.errors import BackendError


def answer(name: str) -> None:
    """Print the devices and the problems of a backend to standard output as JSON, and nothing else."""
    # Plugins and frameworks may print while they are imported, also from C: that goes to standard error.
    out = os.dup(1)
    os.dup2(2, 1)
    devices: list[str] = []
    problems: list[str] = []
    try:
        devices = _devices(load_backend(find_backend(name)))
    except BackendError as error:
        problems.append(str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever the plugin and its framework raise
        problems.append(f"hook available_devices failed: {type(error).__name__}: {error}")
    os.write(out, json.dumps({"devices": devices, "problems": problems}).encode())
    sys.stderr.flush()
    # Frameworks may crash or hang while they shut down, which is nobody's concern here.
    os._exit(0)


def _devices(backend: Backend) -> list[str]:
    if not backend.has("available_devices"):
        return []
    devices: Any = backend.hook.available_devices()
    if not isinstance(devices, list | tuple) or not all(isinstance(device, str) for device in devices):
        message = f"expected a list of names, got {devices!r}"
        raise TypeError(message)
    return list(devices)
